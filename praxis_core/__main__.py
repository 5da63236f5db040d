"""``praxis``, also as ``python -m praxis_core``; Ctrl-C ends it without a trace while it loads."""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Load the command line, which takes a second or more, and run a command."""
    try:
        if sys.argv[1:3] == ["workcell", "stop"]:
            from praxis_core.host.at_once import stop_at_once

            stop_at_once(sys.argv[3:])
        from praxis_core.cli import main as run_command  # Ctrl-C while it loads

        run_command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
