"""Completes the pages of the site that are made from other files, as hooks of MkDocs."""

import ast
import pathlib
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
GALLERY = "<!-- gallery -->"
# The first examples to read; others follow by name.
FIRST = ("sequential_digits", "functional", "finetune_digits")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the examples, with their descriptions and code, in place of the mark."""
    return markdown.replace(GALLERY, gallery()) if GALLERY in markdown else markdown


def gallery() -> str:
    """Returns a section for each script of the folder of examples."""
    paths = sorted((ROOT / "examples").glob("*.py"), key=lambda path: (_place(path), path.stem))
    return "\n".join(_section(path) for path in paths)


def _place(path: pathlib.Path) -> int:
    return FIRST.index(path.stem) if path.stem in FIRST else len(FIRST)


def _section(path: pathlib.Path) -> str:
    code = path.read_text(encoding="utf-8")
    summary, _, rest = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")
    indented = "".join(f"    {line}".rstrip() + "\n" for line in code.splitlines())
    shown = f"```text\n{rest.strip()}\n```\n\n" if rest.strip() else ""
    return (
        f"## {path.stem.replace('_', ' ').capitalize()}\n\n{summary}\n\n{shown}"
        f'??? example "examples/{path.name}"\n\n    ```py\n{indented}    ```\n'
    )
