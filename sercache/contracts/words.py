"""The members of a protocol and what each is, read from its source, so that messages and pages cannot drift from it."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class ProtocolMember:
    """A member of a protocol."""

    name: str
    written: str
    """With its type, or as it is called: ``hop: int``, ``n_frames(n_samples: int) -> int``."""
    text: str
    """Its docstring, in one line."""

    @property
    def told(self) -> str:
        """How it is written, and the first sentence of its docstring."""
        return f"{self.written}, {self.text[:1].lower()}{self.text[1:].split('. ')[0].rstrip('.')}"


@functools.cache
def members(protocol: type) -> dict[str, ProtocolMember]:
    """What a protocol asks for, or a record holds, by name, in the order in which it is written."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(protocol))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, ProtocolMember] = {}
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ProtocolMember(node.name, _call(node), _line(ast.get_docstring(node) or ""))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            written = f"{node.target.id}: {ast.unparse(node.annotation)}"
            found[node.target.id] = ProtocolMember(node.target.id, written, _line(_text(after)))
    return found


def _call(node: ast.FunctionDef) -> str:
    """A method as it is called, without ``self``."""
    own = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(own, ast.FunctionDef)
    own.args.args = own.args.args[1:]
    gives = f" -> {ast.unparse(own.returns)}" if own.returns else ""
    return f"{own.name}({ast.unparse(own.args)}){gives}"


def _text(node: ast.stmt | None) -> str:
    """The docstring of an attribute, which stands below it."""
    return (
        str(node.value.value) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""
    )


def _line(text: str) -> str:
    return " ".join(text.split())
