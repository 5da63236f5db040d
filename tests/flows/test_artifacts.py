"""What is written on a run's page stays as it was said."""

from __future__ import annotations

from flows.artifact import _as_it_is


def test_an_error_is_shown_as_it_is_and_what_it_lists_as_a_list() -> None:
    """Names of wells and steps hold what Markdown takes for its own."""
    shown = _as_it_is("Refused; 2 problem(s):\n  - plate_01[A1]: *no* <b>lid</b>\n  - `x`")

    assert shown.splitlines() == [
        "",
        "Refused; 2 problem(s):",
        "",
        r"- plate\_01\[A1\]: \*no\* \<b\>lid\</b\>",
        r"- \`x\`",
    ]
