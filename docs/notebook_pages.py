"""Turns the notebooks of the examples, with their outputs, into pages of the site."""

import base64
import json
import pathlib

NOTEBOOKS = sorted((pathlib.Path(__file__).resolve().parents[1] / "examples").glob("*.ipynb"))


def pages() -> dict[str, str | bytes]:
    """Returns the content of each page and picture by its path on the site."""
    found: dict[str, str | bytes] = {}
    for path in NOTEBOOKS:
        parts: list[str] = []
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            parts.append(source if cell["cell_type"] == "markdown" else _fenced(source, "py"))
            for output in cell.get("outputs", []):
                picture = output.get("data", {}).get("image/png")
                if picture is None:
                    parts.append(_fenced(_text(output), "text"))
                else:
                    name = f"{path.stem}-{len(found)}.png"
                    found[f"notebooks/{name}"] = base64.b64decode("".join(picture))
                    parts.append(f"![What the cell draws]({name})")
        note = f"The notebook is `examples/{path.name}` of the repository."
        title, *rest = [part for part in parts if part]
        heading, _, text = title.partition("\n")
        found[f"notebooks/{path.stem}.md"] = "\n\n".join([heading, note, text.strip(), *rest])
    return found


def _text(output: dict) -> str:
    """Returns what a cell printed, or the value of its last line."""
    lines = output.get("text") or output.get("data", {}).get("text/plain") or ""
    return "".join(lines).rstrip()


def _fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```" if text.strip() else ""
