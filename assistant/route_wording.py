"""Words that tell what a question is about: this repository, or anything. Regular expressions in the languages that questions
are asked in most; each is one feature of `assistant.route_features`."""

from __future__ import annotations

import re


def _any(*forms: str) -> re.Pattern[str]:
    return re.compile("|".join(forms), re.IGNORECASE)


HERE = _any(
    r"\bhere\b",
    r"\b(?:this|the|our|my) (?:[\w-]+ )?(?:repo(?:sitory)?|project|code ?base|library|package|framework|crate|gem|module|build"
    r"|ci)\b",
    r"\b(?:this|the) (?:code|class|function|method|header|file|macro|struct|type|test suite|documentation|docs)\b",
    r"\b(?:hier|dieses? (?:projekt|repository|bibliothek)|diese[rsm]? (?:code|bibliothek|projekt)s?|unsere?[rmns]?)\b",
    r"\b(?:ici|ce (?:projet|dépôt|code)|cette (?:bibliothèque|classe|fonction)|notre|nos)\b",
    r"\b(?:aquí|este (?:proyecto|repositorio|código)|esta (?:biblioteca|clase|función)|nuestr[oa]s?)\b",
    r"\b(?:qui|questo (?:progetto|codice|repository)|questa (?:libreria|classe|funzione)|nostr[oaie])\b",
    r"\b(?:aqui|n?este (?:projeto|repositório|código)|n?esta (?:biblioteca|classe|função)|noss[oa]s?)\b",
    r"\b(?:deze (?:repo|repository|code|codebase|bibliotheek)|dit project|onze)\b",
    r"\b(?:tutaj|w (?:tym )?(?:projekcie|repozytorium|kodzie)|ten projekt|ta biblioteka|nasz\w*)\b",
    r"\b(?:burada|bu (?:proje|depo|kod|kütüphane)\w*|bizim|(?:dett?a|vårt?|våra) (?:projekt|repo)\w*)\b",
    r"\b(?:здесь|(?:этот|этом|этого) (?:проект|репозитори|код)\w*|эт(?:а|ой|у) библиотек\w*|наш\w*)\b",
    "这个项目|这里|本项目|我们的|这个仓库|这个库|このプロジェクト|このリポジトリ|このライブラリ|ここで|このコード",
    "이 프로젝트|이 저장소|이 라이브러리|우리|여기",
)
# Whoever asks, as those who work on it or with it.
OURS = re.compile(r"\b(?:ours?|we|us)\b", re.IGNORECASE)
# Words that make it a question, rather than a wish or a few words.
ASKING = _any(
    r"[?？]",
    r"^\W*(?:and |so |but |ok |then )?(?:what|how|why|where|when|which|who|whose"
    r"|is|are|does|do|did|can|could|should|would|will|has|was)\b",
    r"^\W*(?:was|wie|wo|warum|wann|welche\w*|wer|kann|ist|comment|pourquoi|où|quel\w*|qué|cómo|dónde|cuál|che|come|dove)\b",
    r"[什怎哪吗何]",
)
WHERE = _any(
    r"\bwhere\b(?! can i (?:buy|learn))|\b(?:in|from) which (?:file|module|class|function|folder|package)",
    r"\bwhich (?:file|module|class|function|method|middleware|macro|option|setting|test|example)s?\b",
    r"\bwho (?:calls?|uses?|sets?|implements?|extends?)\b",
    r"\b(?:wo|woher|in welcher)\b|\boù\b|\bdans quel|\bd[óo]nde\b|\bdove\b",
    "哪里|在哪|哪个文件|どこ|어디",
)
# A notion, asked bare: "What is a monoid?", "Why do people …?"
NOTION = _any(
    r"^\W*(?:what(?:'s| is| are) (?!the\b)|what does .{1,40} (?:mean|stand for)|explain|define"
    r"|why (?:do|does|is|are|should|would) )",
    r"^\W*(?:was (?:ist|sind|bedeutet|heißt|macht)|wozu|qu['’]est-ce qu|c['’]est quoi|qué (?:es|son|significa)"
    r"|che cos|cos['’]?è)",
    "什么是|是什么|とは(?:何|なん|$)|란 무엇",
)
# What stands before what is asked about, where it is a notion.
NOTION_LEAD = re.compile(
    r"^\W*(?:what(?:'s| is| are| does| do)|explain|define|how (?:does|do|is|are)|why (?:does|do|is|are|would)"
    r"|when (?:is|would|should)|was (?:ist|sind)|qu['’]est-ce qu\S*|qu?é (?:es|son)|cos['’]?è)"
    r" (?:is |an? |the |meant by |people mean by |exactly |une? |ein\w* )*",
    re.IGNORECASE,
)
WORKS = _any(
    r"^\W*how (?:do|does|can|is|are) (?!the |this |our |that |it )(?:an? )?[\w./-]+(?: [\w./-]+){0,3}"
    r" (?:work|differ|affect|help|protect|influence|compare|different)"
)
DIFFERENCE = _any(
    r"\bdifferen(?:ce|t)\b|\bdiffer\b|\bvs\b|\bversus\b|\bcompared? (?:with|to)\b|\bbetter\b|\bfaster\b",
    r"\bunterschied|\bdifférence|\bdiferencia|\bdifferenz|区别|違い|차이",
    r"^\W*[\w.#+/ -]{2,40},? or [\w.#+/ -]{2,40}\W*(?:for|in|which|as|:|\?|$)",
)
TASK = _any(
    r"\bhow (?:do|can|could|would|should|might) (?:i|one|you|we)\b|\bhow to\b|\bcan i\b|\bmay i\b"
    r"|\bis (?:there a way|it possible)",
    r"\bi(?: a|')m trying\b|\bi(?:'d| would) (?:like|want)\b|\bi (?:need|want)\b",
    r"\bwie (?:\w+ ){1,3}?(?:ich|man)\b|\bcomment (?:\w+er|\w+ir|\w+re|puis-je|peut-on|fait-on|\w+-t-on)\b",
    r"\bcómo (?:puedo|se|\w+[aei]r)\b|\bcome (?:posso|si|\w+are|\w+ere|\w+ire)\b",
    "如何|怎么|怎样|するには|どうやって|어떻게",
)
MECHANISM = _any(
    r"\bhow (?:does|is|are|did|much|many|far)\b|\bwhen (?:is|are|does)\b|\bwhat (?:happens|does)\b|\bwhat(?:'s| is| are) the\b",
    r"\bin (?:which|what) order\b|\bwhy (?:does|is|are|doesn't|isn't|did)\b",
    r"\bwie (?:wird|werden|funktioniert)|\bcomment (?:fonctionne|sont|est)\b",
    r"\bcómo (?:funciona|se)\b|\bcome (?:funziona|viene|vengono)",
    "是怎么|どのように|いつ",
)
PASSIVE = _any(
    r"\b(?:is|are|gets?|was|were|be|been|being) (?:[\w-]+ ){0,4}?"
    r"(?:\w{2,}ed|written|kept|found|set|put|read|run|made|built|sent|thrown|drawn)\b",
    r"\b(?:wird|werden|wurde|worden)\b|\b(?:est|sont) \w+(?:é|ée|és|ées|i|ie|is|it|ite)\b|\bse \w+[an]n?\b"
    r"|\b(?:viene|vengono)\b|れますか|被",
)
GENERALLY = _any(
    r"\bin general\b|\bgenerally\b|\busually\b|\btypically\b|\bthese days\b|\bin the first place\b|\bbest practices?\b",
    r"\bthe concept\b|\bgood for\b|\bbad\b|\bpros and cons\b|\badvantages?\b|\bas a rule\b|\bhistory of\b|\binvented?\b",
    r"\bcome up with\b|\bbeginner\b|\bunrelated\b|\bother languages\b|\bpeople\b",
)
ADVICE = _any(
    r"\bwhen (?:should|would|is|does one|do you)\b.*\b(?:use|i|one|better|better than|good|bad|instead|avoid\w*)\b",
    r"\bshould (?:i|one|we|be)\b|\bwhy (?:should|would|do people|must|do we)\b|\bwhat makes\b",
    r"\bwhich (?:one|of (?:them|the two))\b|\bstill (?:maintained|considered|used)\b|\bworth\b",
)
# "it" for the library as a whole, as nobody says of a notion.
IT = _any(
    r"\b(?:does|do|is|are|can|will|did|has|could|would|should|doesn't|isn't|can't) (?:it|they|that|this)\b",
    r"\b(?:build|run|compile|install|use|turn|switch|attach|set) (?:it|that)\b|\bfrom it\b|\bto it\b",
)
# "this" or "it" for the library as a whole, where nothing was said before that it could stand for.
THIS = _any(
    r"\b(?:than|of|for|over|with|from|to|about|use|using|pick|choose|like|at|in) (?:this|it)\b(?! (?:to|that|is|for)\b)",
    r"^\W*(?:\w+ ){0,3}(?:does|do|is|are|can|will|did|has|could|would|should|was|doesn't|isn't|can't|why|and) (?:it|this)\b",
    r"\b(?:it|this|they) (?:can|can't|does|doesn't|has|hasn't|won't|isn't)\b|\bits\b|^\W*(?:it|this) \w+s\b",
)
# The project rather than its code: who makes it, what it needs, what is new.
META = _any(
    r"\b(?:licen[cs]e|maintainers?|maintained|contribut\w+|changelog|releas\w+|versioning|roadmap|benchmark(?:s|ed)?|sponsors?)\b",
    r"\bwhat(?:'s| is| has)? (?:new|changed)\b|\bbreaking changes?\b|\bget(?:ting)? started\b",
    r"\bdev(?:elopment)? (?:install|setup)\b",
    r"\b(?:required?|minimum|supported?|which|needed) (?:\w+ )?versions?\b|\bversions? (?:is|are|do|does)\b",
    r"\bdependenc(?:y|ies)\b",
    r"\bpull requests?\b|\b(?:vulnerabilit|security (?:problem|hole|issue))\w*|\bfuzz\w*",
    r"\b(?:test suite|its tests|unit tests)\b",
)
TALK = _any(
    r"^\W*(?:hi|hello|hey|thanks?|thank you|thx|lol|haha|ok(?:ay)?|bye|cool|good (?:morning|evening|night)|great|nice"
    r"|you(?:'re| are))\b",
    r"\bwrite (?:me )?(?:an? )?(?:short )?(?:e-?mail|poem|haiku|story|speech|song|letter)|\btranslate\b|\bdraft\b"
    r"|\brecommend\b",
    r"\bjoke\b|\b(?:my|the) (?:boss|manager|team|colleagues?)\b|\bwho (?:are|made) you\b|\bhow (?:are|old are) you\b",
    r"\bweather\b|\byour\b|\bdo you (?:get|like|think|feel|know)\b|\bwhat(?:'s| is| time is| day is)(?: it| today)\W*$",
    r"\b(?:thanks|thank you|thx)\W*$|\b(?:summari[sz]e|proofread|rephrase) (?:this|the following|my)\b",
    r"\bhelp me (?:write|phrase|draft)\b",
)
ERROR = _any(
    r"\b\w*(?:error|exception|fault|warning)\b|\bfatal\b|\bpanic|\bfailed to\b|\bcould(?: not|n't)\b|\bcannot\b|\bnot found\b",
    r"\bunexpected\b|\bassertion\b|\bdenied\b|\brefused\b|\bno such\b|\bundefined\b",
)
# What operating systems, compilers, linkers, shells, package managers and run times say.
SYSTEM_ERROR = _any(
    r"\berror\[?:? ?[A-Z]{1,3}\d{3,5}\b|\b(?:TS|CS|LNK|E|C|NU|MSB)\d{3,5}: |\bundefined reference\b",
    r"\bunresolved (?:external|reference)",
    r"\bcannot find (?:symbol|module|name|package)|\bcould not find (?:a |or load |gem|package|or)",
    r"\b(?:ld|collect2|linker|rustc|ghc|javac)\b",
    r"\bnpm err|\berr_pnpm|\bpip: |\bcargo\b|\bsegmentation fault|\bdouble free|\bfree\(\)|\bcore dumped|\bno such module\b",
    r"\bexception in thread|\bSQLSTATE|\bunhandled ?promise|\bsyntax ?error\b|\bindentationerror|\bcommand not found",
    r"\bmake: |\bcmake error",
    r"\bfatal error: |\bconfigure: error|\bgo: |\bmodulenotfounderror|\bimporterror|\bclassnotfound|\bnoclassdef",
    r"\bunsupportedclassversion",
    r"\bborrow of moved|\bexpected type|\buse of undeclared|\bdoes not exist in the current context|\bdyld\b|\boutofmemory",
    r"\bmemory size of",
)

# --- in a conversation --------------------------------------------------------------------------------------------------------

CONTINUES = _any(
    r"^\W*(?:and|but|so|then|also|what about|how about|what if|which file|who|where|does it|is it|is that|is there"
    r"|can (?:it|that)|since when|on which|in (?:parallel|which)|show)\b"
)
LEAVES = _any(
    r"\bin general\b|\bgenerally\b|\bwhat else\b|\bby the way\b|\bunrelated\b|\b(?:which|what|do|are there) other\b|\binterest",
    r"\b(?:right|ok|cool|thanks)[.,!]|\b(?:in|into|say) (?:python|java|go|rust|powershell|ruby|javascript)\b",
)

# --- code, languages, tools ---------------------------------------------------------------------------------------------------

QUOTED_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
# A line that was pasted: it ends as code ends, is indented, or has what prose doesn't have.
CODE_LINE = re.compile(
    r"^(?:\s+\S|.*(?:[{};,)\]>]\s*$|=>|->|::|&&|\|\||[=!<>+]=|\w\(.*\)|\$\w|[{}\[\];]|^\s*[\w-]+:(?:\s|$)|\s[|=<>] ))"
)
# With its quotes; shorter ones hold no message.
STRING_LITERAL = re.compile(r"""\"(?:[^"\\\n]|\\.){8,}\"|'(?:[^'\\\n]|\\.){8,}'|`[^`\n]{8,}`""")
CODE = re.compile(
    r"`[^`\n]+`|\w\(\w*\)|\b\w+_\w+\b|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*|\w(?:\.|::|->)[a-z_]\w*\(?|[{};]\s*$|--?\w[\w-]+=",
    re.MULTILINE,
)
# A name as only code writes it, or an option of a command line.
CODE_NAME = re.compile(
    r"\b(?:[A-Za-z]\w*(?:::|\.))*(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*|\w+\(\))|(?<=`)[A-Za-z_]\w*(?=`)"
    r"|(?<![^\s`'\"(])--[a-z][a-z-]+"
)
# The same as a whole, to be found as it is written: with what it belongs to ("ctx.state"), with digits ("string2ll"), quoted.
WHOLE_NAME = re.compile(
    r"\b[A-Za-z_]\w*(?:(?:\.|::|->|#)[A-Za-z_]\w*)+|\b[a-z]+\d+[a-z]\w*|\b\w+(?=\(\))|\b[A-Za-z]+_\w+|\b[a-z]+[A-Z]\w*"
    r"|\b[A-Z][a-z0-9]+[A-Z]\w*|(?<=`)[^`\n]{2,60}(?=`)|(?<![^\s`'\"(])--?[a-z][a-z-]+"
)
LANGUAGES = _any(
    r"\b(?:python|java|javascript|typescript|golang|rust|ruby|php|swift|kotlin|scala|haskell|elixir|erlang|lua|zig|bash|perl"
    r"|julia|dart|clojure|ocaml|fortran|cobol|matlab|powershell|sql|html|css|latex|assembly|node(?:\.?js)?|jvm|\.net|awk|sed"
    r"|grep)\b|\bGo\b|\bC(?:\+\+|#)|\bin (?:c|r|go|vim)\b"
)
# What is done with it, as a tool is named.
WITH = re.compile(r"\b(?:with|using|use|via|in|from|to|on|into|through|mit|avec|con)\s+(?:an? |the )?(\w[\w-]+)", re.IGNORECASE)
# A technology comes next.
BEFORE_TECHNOLOGY = re.compile(r"\b(?:in|en|auf|mit|with|for|on) (?:plain )?$", re.IGNORECASE)
BEFORE_LIBRARY = re.compile(r"\b(?:in|with|using|via|from) (?:plain |just )?$", re.IGNORECASE)
# What is done with a library, by its name in capitals: "with BeautifulSoup".
WITH_LIBRARY = re.compile(r"(?:^|\s)(?:[Ii]n|[Ww]ith|[Uu]sing|[Vv]ia|from) (?:plain |just )?([A-Z]\w+)")
