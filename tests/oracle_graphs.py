"""A plain graph of the catalogue of graphs that is built anew for each question, from raw rows: what any derivation of it must say."""

from typing import Any

from tests.jobs.catalogue_of_graphs import GRAPH, PAYMENTS, REPORTS, TRANSFERS

__all__ = ["HUB", "Rows", "between", "component", "known_edges", "linked", "marked", "neighbours"]

Rows = list[dict[str, Any]]
HUB = {relation.name: relation.hub for relation in GRAPH.relations}


def known_edges(raw: dict[str, Rows], cut: int) -> list[tuple[int, str, str, str]]:
    """(known, relation, ends) of all edges known before a cut, in order; ends of one kind the lesser first, nodes of a device after a mark."""
    first: dict[tuple[str, str, str], int] = {}
    named = [
        *(("device", row["account"], row["device"], row) for row in raw[PAYMENTS.name] if not row["gone"]),
        *(("transfer", row["account"], row["payee"], row) for row in raw[TRANSFERS.name] if row["amount"] > 0),
    ]
    for relation, subject, node, row in named:
        if subject is None or node is None or row["known"] >= cut or (relation == "transfer" and subject == node):
            continue
        ends = (min(subject, node), max(subject, node)) if relation == "transfer" else (subject, node)
        edge = (relation, *ends)
        first[edge] = min(first.get(edge, row["known"]), row["known"])
    return sorted((known, *edge) for edge, known in first.items())


def marked(raw: dict[str, Rows], cut: int) -> set[str]:
    """Accounts with a report that is known before a cut and stands."""
    newest = {row["id"]: row for row in sorted(raw[REPORTS.name], key=lambda row: row["ver"]) if row["known"] < cut}
    return {row["account"] for row in newest.values() if not row["gone"]}


def neighbours(edges: list[tuple[int, str, str, str]]) -> dict[tuple[str, str, bool], set[str]]:
    """Of each (relation, end, whether it is an account) what it is joined to."""
    found: dict[tuple[str, str, bool], set[str]] = {}
    for _, relation, subject, node in edges:
        found.setdefault((relation, subject, True), set()).add(node)
        found.setdefault((relation, node, relation == "transfer"), set()).add(subject)
    return found


def linked(edges: list[tuple[int, str, str, str]], account: str) -> set[tuple[str, str]]:
    """(relation, other account) within two hops, through nodes that are no hubs; and along a transfer itself."""
    return {(relation, other) for relation, _, other in between(edges, account)}


def between(edges: list[tuple[int, str, str, str]], account: str) -> set[tuple[str, str | None, str]]:
    """The same with the node that lies between the two, None where there is none."""
    found: set[tuple[str, str | None, str]] = {
        ("transfer", None, end) for _, relation, *ends in edges if relation == "transfer" and account in ends for end in ends
    }  # fmt: skip
    for (relation, node, is_account), others in neighbours(edges).items():
        through = relation == "transfer" or not is_account
        if through and account in others and len(others) <= HUB[relation]:
            found |= {(relation, node, other) for other in others}
    return {link for link in found if link[2] != account}


def component(edges: list[tuple[int, str, str, str]], account: str) -> set[tuple[str, str]]:
    """(kind, id) of all nodes of the account's component, itself included; empty where no edge names it."""
    parts: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for n, (_, relation, subject, node) in enumerate(edges):
        kind = "account" if relation == "transfer" else relation
        ends = ("account", subject), (kind, node)
        before = neighbours(edges[:n])
        for end in ends:
            parts.setdefault(end, {end})
        if all(len(before.get((relation, name, kind_ == "account"), ())) <= HUB[relation] for kind_, name in ends):
            whole = parts[ends[0]] | parts[ends[1]]
            parts |= dict.fromkeys(whole, whole)
    return parts.get(("account", account), set())
