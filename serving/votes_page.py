"""The page on which people compare two videos: one file, nothing loaded from elsewhere, no name of a system in it."""

from evaluation.people.preference import LEFT, NONE, QUESTIONS, RIGHT
from media.pages import render

SIDES = ((LEFT, "left"), (RIGHT, "right"), (NONE, "cannot say"))


def votes_page() -> str:
    """The whole page."""
    return render("serving", "votes.html", title="Which is better?", questions=QUESTIONS, sides=SIDES)
