"""The miniature's closed world: what can be asked in it, and which answer is right.

A prompt is a carrier ("please tell me") and a topic ("the capital of france"). Held out are
combinations of the two: every carrier, topic and word of a test prompt also occurs in train.
Knows neither audio nor the LLM that answers.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from facts import (
    CARRIERS,
    COLOURS,
    COUNTRIES,
    FOLLOW_UP_CARRIERS,
    GREETINGS,
    ITALIAN,
    NAMES,
    NUMBERS,
    OPPOSITES,
    SEEN_THINGS,
    SUMMARY_CARRIERS,
)

QUICK_KINDS = ("fact", "opposite", "italian", "name", "fragment")
FULL_KINDS = (*QUICK_KINDS, "arithmetic", "summary")

_SLOTS = 12  # one combination in twelve is for test, one for dev
_SPLIT_OF_SLOT = {0: "test", 1: "dev"}


@dataclass(frozen=True)
class Topic:
    """What a prompt is about, in writing ("the capital of", "France").

    Args:
        kind: The kind of question.
        lead: What is asked of the subject.
        subject: The content word, or words.
        response: The full sentence that the LLM is taught to say.
        answer: The words that the response must end in.
    """

    kind: str
    lead: str
    subject: str
    response: str
    answer: str


@dataclass(frozen=True)
class Prompt:
    """What a user says, in one turn or in the second one of a dialogue.

    Args:
        text: As a transcript has it: lower case, no punctuation.
        topic: What it is about; its ``answer`` decides whether a response is right.
        split: ``train``, ``dev`` or ``test``.
    """

    text: str
    topic: Topic
    split: str


def prompts(kinds: Sequence[str]) -> list[Prompt]:
    """Every single-turn prompt of these kinds, in a fixed order."""
    made = [*_questions(), *_greetings(), *_fragments(), *_arithmetic(), *_summaries()]
    return [prompt for prompt in made if prompt.topic.kind in kinds]


def follow_ups(first: Prompt) -> list[Prompt]:
    """Every second turn whose answer needs ``first``; none after the other kinds."""
    topic = first.topic
    if topic.kind == "name" and topic.lead != "my":
        known = Topic("follow_up", "my", "name", f"Your name is {topic.subject}.", topic.subject)
        return list(_carried(CARRIERS, [known], offset=NAMES.index(topic.subject)))
    if topic not in _TOPICS:
        return []
    position = _TOPICS.index(topic)
    related = [
        (other.subject if other.lead == topic.lead else other.lead.removesuffix(" of"), other)
        for other in _TOPICS
        if (other.lead == topic.lead) != (other.subject == topic.subject)
        and other.kind == topic.kind
    ]
    return [
        _prompt(f"{carrier} {said}", _as_follow_up(other), position + i + j)
        for (i, (said, other)), (j, carrier) in product(
            enumerate(related), enumerate(FOLLOW_UP_CARRIERS)
        )
    ]


def words(kinds: Sequence[str]) -> list[str]:
    """Every word that the prompts of these kinds hold, sorted."""
    return sorted({word for prompt in prompts(kinds) for word in prompt.text.split()})


def is_right(response: str, answer: str) -> bool:
    """Whether ``response`` ends in ``answer``, without regard to case and punctuation.

    The end decides because the topic is repeated before it: the response to "the opposite of
    cold" must not be right for "The opposite of hot is cold."
    """
    said, expected = plain(response).split(), plain(answer).split()
    return bool(expected) and said[-len(expected) :] == expected


def plain(text: str) -> str:
    """Lower case without punctuation, as transcripts are."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def _statement(kind: str, lead: str, subject: str, answer: str) -> Topic:
    sentence = f"{lead} {subject} is {answer}."
    return Topic(kind, lead, subject, sentence[0].upper() + sentence[1:], answer)


def _known_topics() -> Iterator[Topic]:
    for country, facts in COUNTRIES.items():
        for lead, answer in zip(("capital", "language", "continent"), facts, strict=True):
            yield _statement("fact", f"the {lead} of", country, answer)
    for thing, colour in COLOURS.items():
        yield _statement("fact", "the colour of", thing, colour)
    for first, second in OPPOSITES:
        yield _statement("opposite", "the opposite of", first, second)
        yield _statement("opposite", "the opposite of", second, first)
    for thing, translation in ITALIAN.items():
        yield _statement("italian", "the Italian word for", thing, translation)


_TOPICS = list(_known_topics())


def _questions() -> Iterator[Prompt]:
    unknown = Topic("name", "my", "name", "I do not know your name.", "I do not know your name")
    return _carried(CARRIERS, [*_TOPICS, unknown])


def _greetings() -> Iterator[Prompt]:
    for (i, name), (j, greeting) in product(enumerate(NAMES), enumerate(GREETINGS)):
        topic = Topic("name", greeting, name, f"Nice to meet you, {name}.", name)
        yield _prompt(f"{greeting} {name}", topic, i + j)


def _fragments() -> Iterator[Prompt]:
    subjects = [topic.subject for topic in _TOPICS]
    leads = [topic.lead.removesuffix(" of") for topic in _TOPICS if topic.kind == "fact"]
    topics = [
        Topic("fragment", "", subject, f"What do you want to know about {subject}?", subject)
        for subject in dict.fromkeys(subjects + leads)
    ]
    return _carried(FOLLOW_UP_CARRIERS, topics)


def _arithmetic() -> Iterator[Prompt]:
    topics = []
    for a, b in product(range(1, len(NUMBERS) + 1), repeat=2):
        for sign, result in (("plus", a + b), ("minus", a - b)):
            if 1 <= result <= len(NUMBERS):
                first, second, third = (NUMBERS[number - 1] for number in (a, b, result))
                topics.append(_statement("arithmetic", f"{first} {sign}", second, third))
    return _carried(CARRIERS, topics)


def _summaries() -> Iterator[Prompt]:
    story = product(
        enumerate(SUMMARY_CARRIERS),
        enumerate(NAMES),
        enumerate(COUNTRIES),
        enumerate(SEEN_THINGS),
    )
    for (i, carrier), (j, name), (k, country), (m, thing) in story:
        summary = f"{name} saw a {thing}"
        topic = Topic("summary", "", name, summary + ".", summary)
        text = f"{carrier} {name} went to {country} and saw a {thing}"
        yield _prompt(text, topic, i + j + k + m)


def _carried(carriers: Sequence[str], topics: Sequence[Topic], offset: int = 0) -> Iterator[Prompt]:
    for (i, topic), (j, carrier) in product(enumerate(topics), enumerate(carriers)):
        yield _prompt(f"{carrier} {topic.lead} {topic.subject}", topic, offset + i + j)


def _prompt(text: str, topic: Topic, coordinates: int) -> Prompt:
    """A prompt in its split: the sum of its parts' positions holds out a Latin square."""
    return Prompt(plain(text), topic, _SPLIT_OF_SLOT.get(coordinates % _SLOTS, "train"))


def _as_follow_up(topic: Topic) -> Topic:
    return Topic("follow_up", topic.lead, topic.subject, topic.response, topic.answer)
