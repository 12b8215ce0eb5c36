"""What the tests here share."""

from tests.fixtures.commands import blank_figures, command, reports_here
from tests.fixtures.results import independent, results, save, simulated

__all__ = [
    "blank_figures",
    "command",
    "independent",
    "reports_here",
    "results",
    "save",
    "simulated",
]
