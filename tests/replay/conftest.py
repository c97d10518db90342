"""Says at the end of the run how many recordings passed through what."""

from tests.replay.recordings import COUNTS


def pytest_terminal_summary(terminalreporter):
    for line in COUNTS:
        terminalreporter.write_line(line)
