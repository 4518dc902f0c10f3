"""List the questions of a datasheet, in our words, after Gebru et al., Datasheets for Datasets, CACM 64(12), 2021."""

from __future__ import annotations

from dataclasses import dataclass

MOTIVATION, COMPOSITION, COLLECTION = "Motivation", "Composition", "Collection process"
LABELLING, USES = "Preprocessing, cleaning, labelling", "Uses"
DISTRIBUTION, MAINTENANCE = "Distribution", "Maintenance"
SECTIONS = (MOTIVATION, COMPOSITION, COLLECTION, LABELLING, USES, DISTRIBUTION, MAINTENANCE)


@dataclass(frozen=True)
class Question:
    """A question: its section, the key under which a recipe answers it, and its text."""

    section: str
    key: str
    text: str


QUESTIONS = tuple(
    Question(section, key, text)
    for section, asked in {
        MOTIVATION: {
            "purpose": "What was the dataset made for, and which gap does it fill?",
            "creators": "Who made it, and on whose behalf?",
            "funding": "Who paid for it?",
            "motivation_other": "What else should be known about the motivation?",
        },
        COMPOSITION: {
            "rows": "What is one row?",
            "count": "How many rows are there, of each kind?",
            "sample": "Is it all of a larger set or a sample, and how was the sample drawn?",
            "data": "What data does a row consist of?",
            "labels": "Does a row have a label or target?",
            "missing": "Is information missing from rows?",
            "relations": "Are relations between rows explicit?",
            "splits": "Are there recommended splits, and why these?",
            "errors": "Which errors, noise and redundancies are known?",
            "external": "Is it self-contained, or does it depend on resources elsewhere?",
            "confidential": "Does it contain anything confidential?",
            "offensive": "Does it contain anything that may offend, threaten or distress?",
            "groups": "Which groups of people does it identify, and how are they represented?",
            "identifiable": "Can people be identified from it, directly or with other data?",
            "sensitive": "Does it contain sensitive data, such as on health, origin or religion?",
            "composition_other": "What else should be known about the composition?",
        },
        COLLECTION: {
            "collection": "How was the data of each row acquired?",
            "mechanisms": "By which instruments, software or procedures, and how were these validated?",
            "sampling": "By which strategy was a sample drawn?",
            "workers": "Who took part in the collection, and how were they paid?",
            "timeframe": "Over which time was it collected, and when was the content created?",
            "ethics": "Was there an ethical review, and with which outcome?",
            "origin": "Was data on people collected from them or through third parties?",
            "notice": "Were these people informed?",
            "consent": "Did they consent to collection and use?",
            "revocation": "Can they revoke their consent?",
            "impact": "Was the potential impact on these people analysed?",
            "collection_other": "What else should be known about the collection?",
        },
        LABELLING: {
            "preprocessing": "Which preprocessing, cleaning and labelling was done?",
            "raw": "Is the raw data kept as well, and where?",
            "software": "Is the software that did it available?",
            "labelling_other": "What else should be known about it?",
        },
        USES: {
            "uses": "What has it been used for?",
            "papers": "Where are papers and systems that use it listed?",
            "uses_other": "What else could it be used for?",
            "risks": "Can its composition or making affect future uses, and how can harm be avoided?",
            "misuses": "What should it not be used for?",
            "notes_on_uses": "What else should be known about its uses?",
        },
        DISTRIBUTION: {
            "recipients": "Will it be given to third parties?",
            "distribution": "How is it distributed, and does it have a DOI?",
            "date": "When is it distributed?",
            "licence": "Under which licence or terms of use?",
            "rights": "Do third parties restrict the use of the data?",
            "export": "Do export controls or other regulations apply?",
            "distribution_other": "What else should be known about the distribution?",
        },
        MAINTENANCE: {
            "maintainer": "Who hosts and maintains it?",
            "contact": "How can the maintainer be reached?",
            "erratum": "Is there an erratum?",
            "updates": "Will it be updated: how often, by whom, and how is this announced?",
            "retention": "Are there limits on how long data on people is kept?",
            "older": "Will older versions be kept?",
            "contributing": "How can others extend it or contribute?",
            "maintenance_other": "What else should be known about the maintenance?",
        },
    }.items()
    for key, text in asked.items()
)
"""All questions, section by section."""

KEYS = {question.key: question.text for question in QUESTIONS}
"""Text of each question by its key."""
