"""The parameters cell of a notebook: what it declares, and whether values fit it.

papermill only warns of an unknown name and passes any type on, so that a mistake shows minutes later, deep inside a
cell. Here the cell is read with `ast`, without running it, and values are checked before a kernel starts.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nbhelpers.batch import notebook
from nbhelpers.errors import ParameterError, nearest

_SCALARS = ("str", "int", "float", "bool")
_SECRET_WORDS = {"key", "keys", "apikey", "token", "tokens", "secret", "secrets", "password", "passwd", "pwd"}
_SECRET_WORDS |= {"passphrase", "credential", "credentials", "sas"}
#: A name that ends so holds the name of a secret, not the secret.
_NAME_OF_SECRET = ("_env", "_env_var", "_variable", "_name")
#: ``https://user:password@host``. Without a colon it is a token in http(s), elsewhere a mere name.
_LOGIN = re.compile(r"://[^\s/?#@]*:[^\s/?#@]*@|https?://[^\s/?#@]+@")
_QUERY_NAME = re.compile(r"[?&#;]([^\s?&#;=]+)=")


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell, ``name: annotation = default  # comment``.

    Attributes
    ----------
    name : str
        Its name.
    annotation : str
        Its type as written; the type of the default where none is written.
    default : object
        Its value if none is given.
    comment : str
        The comment at the end of its line, or "".
    line : int
        Its line in the cell, from 1.
    """

    name: str
    annotation: str
    default: object
    comment: str
    line: int


def read_parameters(path: Path | str) -> list[Parameter]:
    """Read the cell tagged `parameters` of a notebook, without running it.

    Parameters
    ----------
    path : Path or str
        The notebook.

    Raises
    ------
    ParameterError
        There is no such cell or more than one, or a line is not ``name: type = literal``.
    BatchError
        The file is not a notebook.
    """
    path = Path(path)
    cells = [cell for cell in notebook.read_cells(path) if "parameters" in notebook.tags(cell)]
    if len(cells) != 1:
        raise ParameterError(
            f"{path.name} has {len(cells) or 'no'} cells tagged 'parameters'; a notebook of a batch has one.",
            "Give exactly one code cell the tag 'parameters' (in JupyterLab: Property Inspector, Cell Tags).",
        )
    source = notebook.text(cells[0]["source"])
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise _bad_line(path, error.lineno or 1, source, "is not Python") from error
    comments = _comments(source)
    return [_parameter(path, source, statement, comments) for statement in statements]


def check_parameters(
    values: Mapping[str, object], declared: Mapping[str, Sequence[Parameter]]
) -> dict[str, dict[str, object]]:
    """Fit values to the notebooks that declare them; texts are read as papermill's ``-p`` reads them.

    "5" becomes 5 for an int, "true" a bool, "none" None where the type allows it, "[1, 2]" (JSON) a list; a str
    keeps its text. An int is taken for a float, nothing else is converted.

    Parameters
    ----------
    values : mapping of str to object
        The values given.
    declared : mapping of str to sequence of Parameter
        What each notebook declares.

    Returns
    -------
    dict
        For each notebook, the values that it declares and that were given.

    Raises
    ------
    ParameterError
        One error with all problems: unknown names, wrong types, names that look like secrets, URLs that hold one.
    """
    fitted: dict[str, dict[str, object]] = {stage: {} for stage in declared}
    problems = []
    for name, value in values.items():
        if looks_secret(name):
            problems.append(
                f"{name} looks like a secret, and parameters are stored in clear in the executed notebooks: "
                "put the value into an environment variable and pass the NAME of the variable"
            )
            continue
        if holds_secret(value):
            problems.append(
                f"{name} is a URL with a password, key or signature, and parameters are stored in clear in the "
                "executed notebooks: download the file and give its path"
            )
            continue
        if isinstance(value, str) and not is_utf8(value):
            problems.append(f"{name} = {value!r:.80} is not text in UTF-8")
            continue
        users = [(stage, p) for stage, parameters in declared.items() for p in parameters if p.name == name]
        if not users:
            problems.append(_unknown(name, declared))
        misfits: dict[str, list[str]] = {}  # a type, and the stages that declare it
        for stage, parameter in users:
            try:
                fitted[stage][name] = fit(value, parameter.annotation)
            except ValueError:
                misfits.setdefault(parameter.annotation, []).append(stage)
        for annotation, stages in misfits.items():
            problems.append(f"{name} = {value!r:.80} is not of type {annotation}, as in {', '.join(stages)}")
    if problems:
        raise ParameterError(
            problems[0] + "." if len(problems) == 1 else "\n  - ".join([f"{len(problems)} problems:", *problems]),
            "`nbhelpers run --help` lists all parameters with their types and defaults.",
        )
    return fitted


def describe(parameter: Parameter) -> str:
    """Write a parameter as its line in the notebook does, with no comment."""
    return f"{parameter.name}: {parameter.annotation} = {parameter.default!r}"


def looks_secret(name: str) -> bool:
    """Whether a parameter or output of this name would hold a secret (and not just the name of one)."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_")
    return not _SECRET_WORDS.isdisjoint(words) and not name.lower().endswith(_NAME_OF_SECRET)


def is_utf8(text: str) -> bool:
    """Whether a text can be written to a file; not where the command line had bytes of another encoding."""
    return not re.search("[\ud800-\udfff]", text)


def holds_secret(value: object) -> bool:
    """Whether a value is or contains a URL with a login, or with a key, token or signature in its query."""
    text = str(value)
    names = _QUERY_NAME.findall(text.replace("-", "_")) if "://" in text else []
    return bool(_LOGIN.search(text)) or any(
        looks_secret(name) or name.lower().endswith(("sig", "signature")) for name in names
    )


def fit(value: object, annotation: str) -> object:
    """Convert a value to an annotated type.

    Raises
    ------
    ValueError
        It does not fit.
    """
    return _fit(value, ast.parse(annotation, mode="eval").body)


def _fit(value: object, kind: ast.expr) -> object:
    match kind:
        case ast.BinOp():
            # A str takes every text, so it is tried last.
            for member in sorted(_members(kind), key=lambda member: ast.unparse(member) == "str"):
                with suppress(ValueError):
                    return _fit(value, member)
        case ast.Constant(value=None):
            if value is None or (isinstance(value, str) and value.lower() == "none"):
                return None
        case ast.Name(id="str"):
            if isinstance(value, str):
                return value
        case ast.Name(id="bool"):
            value = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
            if isinstance(value, bool):
                return value
        case ast.Name(id="int"):
            if isinstance(value, str | int) and not isinstance(value, bool):
                return int(value)
        case ast.Name(id="float"):
            if isinstance(value, str | int | float) and not isinstance(value, bool) and math.isfinite(float(value)):
                return float(value)
        case ast.Name(id="list") | ast.Subscript(value=ast.Name(id="list")):
            value = json.loads(value) if isinstance(value, str) else value
            if isinstance(value, list):
                return [_fit(item, kind.slice) for item in value] if isinstance(kind, ast.Subscript) else value
        case ast.Name(id="dict") | ast.Subscript(value=ast.Name(id="dict")):
            value = json.loads(value) if isinstance(value, str) else value
            if isinstance(value, dict):
                match kind:
                    case ast.Subscript(slice=ast.Tuple(elts=[key, item])):
                        return {_fit(k, key): _fit(v, item) for k, v in value.items()}
                return value
    raise ValueError(f"{value!r} does not fit {ast.unparse(kind)}")


def _members(kind: ast.expr) -> Iterator[ast.expr]:
    if isinstance(kind, ast.BinOp):
        yield from _members(kind.left)
        yield from _members(kind.right)
    else:
        yield kind


def _supported(kind: ast.expr) -> bool:
    match kind:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _supported(left) and _supported(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return _supported(item)
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
            return _supported(item)
        case ast.Constant(value=value):
            return value is None
        case ast.Name(id=name):
            return name in (*_SCALARS, "list", "dict")
    return False


def _parameter(path: Path, source: str, statement: ast.stmt, comments: Mapping[int, str]) -> Parameter:
    annotation: ast.expr | None
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr() as value):
            pass
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            annotation = None
        case _:
            raise _bad_line(path, statement.lineno, source, "is not `name: type = value`")
    try:
        default = ast.literal_eval(value)
    except ValueError as error:
        raise _bad_line(path, statement.lineno, source, "has a default that is not a literal") from error
    annotation = annotation or ast.Name(id=type(default).__name__)
    if not _supported(annotation):
        raise _bad_line(path, statement.lineno, source, "has no type, or one that cannot be checked")
    try:
        fits = _fit(default, annotation) == default
    except ValueError:
        fits = False
    if not fits:
        raise _bad_line(path, statement.lineno, source, "has a default that does not fit its type")
    last = statement.end_lineno or statement.lineno
    comment = comments.get(last) or comments.get(statement.lineno, "")
    return Parameter(name, ast.unparse(annotation), default, comment, statement.lineno)


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def _bad_line(path: Path, line: int, source: str, reason: str) -> ParameterError:
    return ParameterError(
        f"Line {line} of the parameters cell of {path.name} {reason}: {source.splitlines()[line - 1].strip()!r}.",
        "Write only lines such as `limit: float | None = None  # minutes`, with a literal default and a type made of "
        "str, int, float, bool, None, list[...] and dict[str, ...].",
    )


def _unknown(name: str, declared: Mapping[str, Sequence[Parameter]]) -> str:
    known = {p.name for parameters in declared.values() for p in parameters}
    near = nearest(name, sorted(known))
    if not near:
        return f"no notebook declares a parameter {name!r}"
    users = ", ".join(stage for stage, parameters in declared.items() if near in {p.name for p in parameters})
    return f"no notebook declares a parameter {name!r}; the nearest is {near!r} (of {users})"
