"""What processes use: processor time and memory of one and all that it started."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Tree:
    """A process and its descendants."""

    def __init__(self, root: int):
        self.root = root

    def processor_seconds(self) -> float:
        """User and system time, also of children that have ended."""
        return sum(ticks for member in self._members() for ticks in times(member)) / TICKS

    def resident_mb(self) -> float:
        return self._sum("VmRSS")

    def most_resident_mb(self) -> float:
        return self._sum("VmHWM")

    def _sum(self, what: str) -> float:
        return sum(kilobytes(member, what) for member in self._members()) / 1024

    def _members(self) -> list[int]:
        parents = {}
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                fields = stat(int(path.name))
                if fields:
                    parents[int(path.name)] = int(fields[1])
        members = [self.root]
        for member in members:
            members += [child for child, parent in parents.items() if parent == member]
        return members


def stat(process: int) -> list[str]:
    """The fields after the name, which may hold anything."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def times(process: int) -> list[int]:
    """utime, stime, cutime, cstime."""
    return [int(ticks) for ticks in stat(process)[11:15]]


def kilobytes(process: int, what: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{what}:")), 0)
