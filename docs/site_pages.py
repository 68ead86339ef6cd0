"""Completes the pages of the site that are made from other files, as hooks of MkDocs."""

import ast
import pathlib
import re
from typing import Any

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
GALLERY = "<!-- gallery -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the examples, with their descriptions and code, in place of the mark."""
    return markdown.replace(GALLERY, gallery()) if GALLERY in markdown else markdown


def gallery() -> str:
    """Returns a section for each script, in the order of the list in examples/README.md."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = re.findall(r"\]\((\w+\.py)\)", text)
    # The site has no page for a notebook to which a link could lead.
    notebooks = re.sub(r"\[(.*?)\]\(\w+\.ipynb\)", r"\1", text[text.index("## Notebooks") :])
    return "\n".join([*(_section(EXAMPLES / name) for name in scripts), notebooks])


def _section(path: pathlib.Path) -> str:
    code = path.read_text(encoding="utf-8")
    summary, _, rest = (ast.get_docstring(ast.parse(code)) or "").partition("\n\n")
    # What the script prints is indented there, and so a block of code here.
    rest = re.sub(r"^(python examples/.*)$", r"```bash\n\1\n```", rest, flags=re.M)
    indented = "".join(f"    {line}".rstrip() + "\n" for line in code.splitlines())
    return (
        f"## {path.name}\n\n{summary}\n\n{rest}\n\n"
        f'??? example "The code"\n\n    ```py\n{indented}    ```\n'
    )
