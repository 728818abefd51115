"""A template's large memory in huge pages, because each fork copies the table of its pages. Runs in agent templates.

Model weights are hundreds of megabytes that nobody writes to: with pages of 4 KiB most of the time of a fork goes into
their table. A huge page is one entry of it. What a process writes to is still copied by 4 KiB.
"""

from agenthost import kernel
from agenthost.child.mappings import mappings

HUGE = 2 * 1024 * 1024
WORTHWHILE_BYTES = 64 * 1024 * 1024  # smaller mappings are many, quick to fork, and written to all over
_MADV_COLLAPSE = 25
_MAX_FAILURES = 8  # in a row: then this kernel has no such thing, or no memory in one piece


def collapse_large() -> int:
    """Collapse all large mappings, which takes some 2 ms a megabyte; returns how many huge pages that made.

    Before the first fork: the pages that they replace would stay with whoever was forked earlier, in private.
    """
    done = failures = 0
    for mapping in list(mappings()):
        if mapping.file or mapping.rights != "rw-p" or mapping.size < WORTHWHILE_BYTES:
            continue
        for page in range(-(-mapping.start // HUGE) * HUGE, mapping.start + mapping.size - HUGE + 1, HUGE):
            if kernel.advise(page, HUGE, _MADV_COLLAPSE):
                done, failures = done + 1, 0
            else:
                failures += 1
            if failures == _MAX_FAILURES:
                return done
    return done
