"""Leaves the default values of dataclasses out of the reference, as an extension of griffe.

The reference inspects the imported package, and would show the docstring of the value's type under
each attribute that has a default: "Built-in immutable sequence" for an empty tuple. The section
"Attributes" of the class describes them.
"""

from typing import Any

import griffe


class WithoutDefaults(griffe.Extension):
    """Removes class attributes."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called when the members of a class are known."""
        for name, member in list(cls.members.items()):
            if not member.is_alias and member.is_attribute and "property" not in member.labels:
                cls.del_member(name)
