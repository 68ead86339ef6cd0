"""Completes the pages of the site that are made from other files, as hooks of MkDocs."""

import ast
import pathlib
import re
import sys
from typing import Any

# MkDocs loads a hook by its path, without the folder on Python's own.
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import notebook_pages  # noqa: E402

EXAMPLES = pathlib.Path(__file__).resolve().parents[1] / "examples"
GALLERY = "<!-- gallery -->"
SHORT_CODE = re.compile(r"(?<!</span>)<code>([^<>\n]{1,24})</code>")
CALL_ARGUMENTS = re.compile(r"(<summary>Call arguments</summary>\s*)<p>(.*?)</p>", re.S)


def on_files(files: Any, config: Any, **_: Any) -> Any:
    """Adds the pages of the notebooks, and their pictures."""
    from mkdocs.structure.files import File

    for path, content in notebook_pages.pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Makes a list of the call arguments of a layer, of which Markdown makes one paragraph.

    Short names in the text get a class, so that a line does not end between two hyphens.
    """
    html = SHORT_CODE.sub(r'<code class="short">\1</code>', html)
    return CALL_ARGUMENTS.sub(lambda found: found[1] + _listed(found[2]), html)


def _listed(paragraph: str) -> str:
    items = re.sub(
        r"^(\w+): ", r"</li><li><strong><code>\1</code></strong> – ", paragraph, flags=re.M
    )
    return f"<ul>{items.removeprefix('</li>')}</li></ul>"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the examples, with their descriptions and code, in place of the mark."""
    return markdown.replace(GALLERY, gallery()) if GALLERY in markdown else markdown


def gallery() -> str:
    """Returns a section for each script, in the order of the list in examples/README.md."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = re.findall(r"\]\((\w+\.py)\)", text)
    notebooks = text[text.index("## Notebooks") :]
    notebooks = re.sub(r"\((\w+)\.ipynb\)", r"(notebooks/\1.md)", notebooks)
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
