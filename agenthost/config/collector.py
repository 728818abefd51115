"""Collects findings while a configuration is read, so that one run reports every problem; see `findings.py`."""

from collections.abc import Collection, Iterable, Sequence

from agenthost.config.findings import Finding, Fix, Related, Severity
from agenthost.config.nodes import NOWHERE, Keys, Node, OriginKind, Span, dotted


class Collector:
    """Gathers findings about one file; the order in which they are found does not matter."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._findings: dict[tuple[object, ...], Finding] = {}

    def add(self, finding: Finding) -> None:
        """Keep a finding, unless the same thing was already said about the same place (anchors, merged defaults)."""
        key = (finding.code, finding.file, finding.line, finding.column, finding.message)
        self._findings.setdefault(key, finding)

    def report(
        self,
        code: str,
        message: str,
        span: Span = NOWHERE,
        *,
        severity: Severity = Severity.ERROR,
        file: str = "",
        path: Keys | str = (),
        hint: str = "",
        fix: Fix | None = None,
        related: Sequence[Related] = (),
    ) -> None:
        """Report one problem at `span`; `hint` is what stands beside the caret and says what to do."""
        self.add(
            Finding(
                code=code,
                severity=severity,
                message=message,
                file=file or self._file,
                line=span.line,
                column=span.column,
                end_column=span.end_column,
                path=path if isinstance(path, str) else dotted(path),
                hint=hint,
                fix=fix,
                related=tuple(related),
            )
        )

    def about(
        self,
        code: str,
        message: str,
        node: Node,
        *,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
        hint: str = "",
        fix: Fix | None = None,
        related: Sequence[Related] = (),
    ) -> None:
        """Report a problem with a node: at its value, or at its key.

        Nothing is said about opaque values, and no value is quoted that interpolation brought in: it may be a secret.
        """
        if node.opaque and not at_key:
            return
        span = (node.key or node.place) if at_key else node.place
        file = node.origin.name if node.origin.kind is OriginKind.OPTION else ""
        self.report(
            code,
            _unquoted(message, node),
            span,
            severity=severity,
            file=file,
            path=node.path,
            hint=_unquoted(hint, node),
            fix=fix if span.line else None,
            related=related,
        )

    def warn(self, code: str, message: str, node: Node, *, at_key: bool = False, hint: str = "") -> None:
        """Report something that works but is probably not what was meant."""
        self.about(code, message, node, at_key=at_key, severity=Severity.WARNING, hint=hint)

    def add_all(self, findings: Iterable[Finding]) -> None:
        """Take over what another collector has gathered."""
        for finding in findings:
            self.add(finding)

    def has_errors(self, *, besides: Collection[str] = ()) -> bool:
        """Whether there is an error of any other code than `besides`."""
        found = self._findings.values()
        return any(finding.severity is Severity.ERROR and finding.code not in besides for finding in found)

    def findings(self) -> tuple[Finding, ...]:
        """Everything found, sorted by place."""
        return tuple(sorted(self._findings.values(), key=lambda f: (f.file, f.line, f.column, f.code)))


def _unquoted(text: str, node: Node) -> str:
    if not node.references or not isinstance(node.value, str) or not node.value:
        return text
    return text.replace(f"`{node.value}`", "this value").replace(node.value, "…" if len(node.value) > 3 else node.value)


def rename(node: Node, name: str) -> Fix | None:
    """The fix that writes `name` instead of the node's key."""
    key = node.key
    return Fix(line=key.line, column=key.column, end_column=key.end_column, text=name) if key and key.line else None


def rewrite(node: Node, text: str) -> Fix | None:
    """The fix that writes `text` instead of a scalar that stands on one line."""
    span = node.span
    if not span.line or "\n" in node.text:
        return None
    return Fix(line=span.line, column=span.column, end_column=span.end_column, text=text)
