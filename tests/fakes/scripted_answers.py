"""Stand-ins for `answer_question`, which decide by the question what to do, and a worker process that runs them:

    python -m tests.fakes.scripted_answers

"count 50": writes fifty words, one every 20 ms. "wait": writes one word, and then nothing until it is cancelled.
"raise NAME": raises that error of assistant/errors.py. "forget": ends without a final entry. Anything else is echoed.
"""

from __future__ import annotations

import asyncio

import django

WORD_EVERY_S = 0.02


async def scripted_answer(job, log) -> None:
    from assistant import errors

    what, _, how = job.question.partition(" ")
    await log.append("route", {"route": "code", "reason": "as told", "model": "script", "demonstration": False, "licence": ""})
    if what == "count":
        for number in range(int(how)):
            await log.delta(f"{number} ")
            await asyncio.sleep(WORD_EVERY_S)
    elif what == "wait":
        await log.delta("waiting")
        await asyncio.Event().wait()
    elif what == "raise":
        await log.delta("partial")
        raise getattr(errors, how, RuntimeError)("It went wrong.")
    else:
        await log.delta(job.question)
    if what != "forget":
        await log.append("completed", {"model": "script", "finish_reason": "stop"})


def counted(words: int) -> str:
    return "".join(f"{number} " for number in range(words))


if __name__ == "__main__":
    django.setup()

    from assistant.answerer import Answerer
    from assistant.management.commands import answerer

    asyncio.run(answerer.serve(Answerer(scripted_answer)))
