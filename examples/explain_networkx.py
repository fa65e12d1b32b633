"""Explain a graph score: how central one video is by PageRank, over typed edges. `python examples/explain_networkx.py`"""

import networkx as nx

from veracast.explain.effects import unit_effects
from veracast.explain.fidelity import fidelity
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Scorer
from veracast.explain.told import amount
from veracast.explain.units import Edge, Edges

REPOSTS = [Edge(f"user {k}", "reposts", "our video") for k in range(6)]
REST = [
    Edge("user 0", "likes", "other"),
    Edge("hub", "links", "our video"),
    *(Edge(f"fan {k}", "follows", "hub") for k in range(9)),
]
NODES = {end for edge in (*REPOSTS, *REST) for end in (edge.source, edge.target)}


def score(items):
    """PageRank of our video in per mille; nodes stay where edges go."""
    found = []
    for item in items:
        graph = nx.DiGraph([(edge.source, edge.target) for edge in item["graph"]])
        graph.add_nodes_from(NODES)
        found.append(1000 * nx.pagerank(graph)["our video"])
    return found


def main():
    edges = [*REPOSTS, *REST]
    perturbed = Perturbed({"graph": edges}, [Edges()], Scorer(score))
    relations = unit_effects(perturbed, "graph", groups=[edge.kind for edge in edges])
    told = [f"{relations.units[k].name}: {amount(relations.shapley[k], 'per mille')}" for k in relations.ranked()]
    single = unit_effects(perturbed, "graph", orders=64)
    chosen = fidelity(perturbed, "graph", single.ranked()[:7])
    named = ", ".join(single.units[k].name for k in single.ranked()[:2])
    return [
        *told,
        f"first edges: {named}",
        f"seven edges of {chosen.parts}: needed {chosen.plus:.0%}, miss {chosen.minus:.0%} of the score, rank {chosen.rank:.2f} among random choices",
    ]


if __name__ == "__main__":
    print("\n".join(main()))
