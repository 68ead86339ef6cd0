"""Adapts what griffe inspects to the pages of the reference, as an extension of it.

Griffe inspects the imported package, because the layers' docstrings get their common parts there.
It shows some things as Python represents them, and not as they are written.
"""

import ast
import functools
from typing import Any

import griffe


class AsWritten(griffe.Extension):
    """Leaves out the defaults of dataclasses, and makes every signature valid Python."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Removes class attributes, which the section "Attributes" of the class describes.

        Under each attribute with a default, the reference would show the docstring of the value's
        type: "Built-in immutable sequence" for an empty tuple.
        """
        for name, member in list(cls.members.items()):
            if not member.is_alias and member.is_attribute and "property" not in member.labels:
                cls.del_member(name)

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Replaces defaults without a notation, such as `<factory>`, by `...`.

        The formatter leaves a signature that is not valid Python on one line.
        """
        for parameter in func.parameters:
            if parameter.default is not None and _parsed(str(parameter.default)) is None:
                parameter.default = "..."
            elif str(parameter.default).startswith("PosixPath("):
                parameter.default = str(parameter.default).removeprefix("Posix")
            parameter.annotation = _as_written(parameter.annotation, func)
        func.returns = _as_written(func.returns, func)


class _Names(ast.NodeTransformer):
    """Makes `Any` of `typing.Any`, and `A | None` of `Union[A, NoneType]`."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Name(node.attr)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(None) if node.id == "NoneType" else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if not (isinstance(node.value, ast.Name) and node.value.id == "Union"):
            return node
        assert isinstance(node.slice, ast.Tuple)
        return functools.reduce(lambda a, b: ast.BinOp(a, ast.BitOr(), b), node.slice.elts)


def _as_written(annotation: Any, func: griffe.Function) -> Any:
    tree = None if annotation is None else _parsed(str(annotation))
    return annotation if tree is None else griffe.get_annotation(_Names().visit(tree), func)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
