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
    "这个项目|这里|本项目|我们的|このプロジェクト|このリポジトリ|ここで|このコード|이 프로젝트|여기",
)
OURS = _any(r"\b(?:our|ours|we|us)\b", r"\b(?:wir|unser\w*|nous|notre|nosotros|nuestr\w+|noi)\b")
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
WORKS = _any(
    r"^\W*how (?:do|does|can|is|are) (?!the |this |our |that |it )(?:an? )?[\w./-]+(?: [\w./-]+){0,3}"
    r" (?:work|differ|affect|help|protect|influence|compare|different)"
)
WHY = _any(r"\bwhy\b|\bwarum\b|\bpourquoi\b|为什么")
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
DEFINITE = _any(
    r"\bthe\b|\b(?:der|die|das|den|dem)\b|\b(?:le|la|les)\b|\bl['’]|\b(?:el|los|las)\b|\b(?:il|lo|gli)\b",
)
INDEFINITE = _any(
    r"\b(?:is|are|does|do|has|have|was) an? \w|\b(?:an?|some|any) \w+\W*$|\bein[e]? \w+\W*$|\bune? \w+\W*$|\buna? \w+\W*$"
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
WHO = _any(r"\bwho (?!calls?\b|uses?\b|sets?\b|implements?\b|extends?\b)\w+")
TALK = _any(
    r"^\W*(?:hi|hello|hey|thanks?|thank you|thx|lol|haha|ok(?:ay)?|bye|cool|good (?:morning|evening|night)|great|nice"
    r"|you(?:'re| are))\b",
    r"\bwrite (?:me )?(?:an? )?(?:short )?(?:e-?mail|poem|haiku|story|speech|song|letter)|\btranslate\b|\bdraft\b"
    r"|\brecommend\b",
    r"\bjoke\b|\b(?:my|the) (?:boss|manager|team|colleagues?)\b|\bwho (?:are|made) you\b|\bhow (?:are|old are) you\b",
    r"\bweather\b|\byour\b",
)
ERROR = _any(
    r"\b\w*(?:error|exception|fault|warning)\b|\bfatal\b|\bpanic|\bfailed to\b|\bcould(?: not|n't)\b|\bcannot\b|\bnot found\b",
    r"\bunexpected\b|\bassertion\b|\bdenied\b|\brefused\b|\bno such\b|\bundefined\b",
)
# What operating systems, compilers, interpreters and package managers say.
SYSTEM_ERROR = _any(
    r"\bE[A-Z]{5,}\b|\berrno\b|\bpermission denied\b|\bconnection refused\b|\bcommand not found\b|\bno such file\b",
    r"\bsegmentation\b|\bsyntax ?error\b|\bparse error\b|\b(?:error|warning)\[?:?\s?[A-Z]{1,4}\d{3,5}\]?|\b[A-Z]{2}\d{4}\b",
    r"\bnull ?pointer|\bout of memory|\bundefined reference\b|\bno module named\b|\bno such module\b|\bnpm err|\bpip\b",
    r"\bcargo\b|\blinker\b|\bimport\b.*\bmodule\b|\b(?:nil|null|undefined)\b",
)

# --- in a conversation --------------------------------------------------------------------------------------------------------

CONTINUES = _any(
    r"^\W*(?:and|but|so|then|also|what about|how about|what if|which file|who|where|does it|is it|is that|is there"
    r"|can (?:it|that)|since when|on which|in (?:parallel|which)|show)\b"
)
POINTS_BACK = _any(r"\b(?:it|its|that|this|they|them|those|these|there)\b")
LEAVES = _any(
    r"\bin general\b|\bgenerally\b|\bwhat else\b|\bby the way\b|\bunrelated\b|\b(?:which|what|do|are there) other\b|\binterest",
    r"\b(?:right|ok|cool|thanks)[.,!]|\b(?:in|into|say) (?:python|java|go|rust|powershell|ruby|javascript)\b",
)

# --- code, languages, tools ---------------------------------------------------------------------------------------------------

QUOTED_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
CODE = re.compile(
    r"`[^`\n]+`|\w\(\w*\)|\b\w+_\w+\b|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*|\w(?:\.|::|->)[a-z_]\w*\(?|[{};]\s*$|--?\w[\w-]+=",
    re.MULTILINE,
)
# A name as only code writes it.
CODE_NAME = re.compile(
    r"\b(?:[A-Za-z]\w*(?:::|\.))*(?:[A-Za-z]\w*_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*|\w+\(\))|(?<=`)[A-Za-z_]\w*(?=`)"
)
LANGUAGES = _any(
    r"\b(?:python|java|javascript|typescript|golang|rust|ruby|php|swift|kotlin|scala|haskell|elixir|erlang|lua|zig|bash|perl"
    r"|julia|dart|clojure|ocaml|fortran|cobol|matlab|powershell|sql|html|css|latex|assembly|node(?:\.?js)?|jvm|\.net|awk|sed"
    r"|grep)\b|\bGo\b|\bC(?:\+\+|#)|\bin (?:c|r|go|vim)\b"
)
TOOLS = _any(
    r"\b(?:git|github|docker|kubernetes|nginx|apache|curl|wget|postman|axios|httpx|aiohttp|react|vue|angular|svelte|next\.?js"
    r"|django|flask|fastapi|rails|sinatra|spring(?: boot)?|micronaut|quarkus|laravel|symfony|codeigniter|koa|fastify|hapi|vim"
    r"|neovim|emacs|helix|vs ?code|intellij|eclipse|xcode|libreoffice|maven|gradle|sbt|cmake|meson|bazel|npm|yarn|pnpm|pip"
    r"|conda|venv|virtualenv|cargo|cabal|composer|homebrew|rbenv|postgres(?:ql)?|mysql|mariadb|sqlite|sql server|oracle|mongodb"
    r"|redis|memcached|kafka|rabbitmq|aws|azure|heroku|terraform|ansible|jenkins|systemd|cron(?:tab)?|windows|linux|ubuntu|debian"
    r"|macos|android|webpack|babel|jest|mocha|cypress|playwright|selenium|pandas|numpy|tensorflow|pytorch|chrome|firefox"
    r"|chatgpt|excel|jira|slack|hibernate|nhibernate|entity framework|akka|zio|guava|tokio|smol|async-std|puma|unicorn|uvicorn"
    r"|hypercorn|daphne|gunicorn|argparse|docopt|gorilla/mux|gin|zsh|fish|grpc|graphql|uikit|swiftui|rxswift|lsp)\b"
)
WITH_TECHNOLOGY = re.compile(
    rf"\b(?:in|en|auf|mit|with|for|on) (?:plain )?(?:{LANGUAGES.pattern}|{TOOLS.pattern})", re.IGNORECASE
)
