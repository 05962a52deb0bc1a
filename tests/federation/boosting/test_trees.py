"""Trees: where borrowers go, what a missing party costs, and whose split added what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.boosting.model_part import Split
from federation.boosting.split_book import SplitBook, only_used
from federation.boosting.trees import Forest, Node, Tree
from federation.errors import InputError

Bits = npt.NDArray[np.bool_]
SPLITS = {"bank": 2, "platform": 3, "lessor": 0}
MISSING = ((), ("platform",), ("bank",), ("bank", "platform"))


def grown(generator: np.random.Generator, depth: int) -> Tree:
    """A random tree over these parties' splits; covers add up."""
    nodes: list[Node] = []

    def place(cover: float, level: int) -> int:
        own = len(nodes)
        nodes.append(Node(float(generator.normal()), cover))
        if level == depth or cover < 2 or generator.random() < 0.15:
            return own
        party = str(generator.choice(["bank", "platform"]))
        split = int(generator.integers(SPLITS[party]))
        share = float(generator.integers(0, int(cover) + 1))
        left, right = place(share, level + 1), place(cover - share, level + 1)
        nodes[own] = replace(nodes[own], party=party, split=split, left=left, right=right)
        return own

    place(100.0, 0)
    return Tree(tuple(nodes))


def forest(seed: int, trees: int = 3, depth: int = 4) -> Forest:
    """Some random trees."""
    generator = np.random.default_rng(seed)
    return Forest([grown(generator, depth) for _ in range(trees)], SPLITS)


def bits_of(seed: int, count: int = 40) -> dict[str, Bits]:
    """Every party's bits of borrowers."""
    generator = np.random.default_rng(seed)
    return {party: generator.random((n, count)) < 0.5 for party, n in SPLITS.items()}


def walked(tree: Tree, bits: dict[str, Bits], borrower: int, place: int = 0) -> float:
    """One borrower's score in one tree, a missing party averaged over: as it is written down."""
    node = tree.nodes[place]
    if node.is_leaf:
        return node.value
    below = [walked(tree, bits, borrower, child) for child in (node.left, node.right)]
    if node.party in bits:
        return below[0] if bits[node.party][node.split, borrower] else below[1]
    covers = [tree.nodes[child].cover for child in (node.left, node.right)]
    return (covers[0] * below[0] + covers[1] * below[1]) / sum(covers)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6))
def test_scores_are_sums_of_leaves(seed: int, depth: int) -> None:
    """With all parties, with either missing, with both."""
    one, bits = forest(seed, depth=depth), bits_of(seed + 1)
    for missing in MISSING:
        given_ = {party: own for party, own in bits.items() if party not in missing}
        scores = one.scores(given_)
        expected = [sum(walked(tree, given_, n) for tree in one.trees) for n in range(40)]
        np.testing.assert_allclose(scores, expected, atol=1e-12)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6))
def test_contributions_sum_to_the_score(seed: int, depth: int) -> None:
    """Whoever is missing; each split is credited with what it moved."""
    one, bits = forest(seed, depth=depth), bits_of(seed + 1)
    for missing in MISSING:
        given_ = {party: own for party, own in bits.items() if party not in missing}
        parts = one.contributions(given_)
        assert {party: len(own) for party, own in parts.items()} == SPLITS
        total = one.base + sum(own.sum(axis=0) for own in parts.values())
        np.testing.assert_allclose(total, one.scores(given_), atol=1e-12)


def test_a_split_is_credited_with_the_change_that_it_makes() -> None:
    """Two splits on one path, written out."""
    tree = Tree(
        (
            Node(0.5, 10, "bank", 1, 1, 2),
            Node(-1.0, 6, "platform", 2, 3, 4),
            Node(2.0, 4),
            Node(-3.0, 1),
            Node(-0.5, 5),
        )
    )
    one = Forest([tree], SPLITS)
    bits = {p: np.zeros((n, 2), dtype=bool) for p, n in SPLITS.items()}
    bits["bank"][1] = [True, False]
    bits["platform"][2] = [True, True]
    parts = one.contributions(bits)
    assert parts["bank"].tolist() == [[0, 0], [-1.5, 1.5]]
    assert parts["platform"].tolist() == [[0, 0], [0, 0], [-2.0, 0]]
    # without the platform it is worth what its children are on average: 5/6·-0.5 - 1/6·3 = -0.917
    del bits["platform"]
    parts = one.contributions(bits)
    np.testing.assert_allclose(parts["platform"][2], [1 - 5.5 / 6, 0])
    np.testing.assert_allclose(one.scores(bits), [-5.5 / 6, 2.0])


def test_leaves_are_where_the_bits_lead() -> None:
    """The node of each tree that each borrower reaches."""
    one, bits = forest(3), bits_of(4)
    leaves = one.leaves(bits)
    for tree, reached in zip(one.trees, leaves, strict=True):
        assert all(tree.nodes[place].is_leaf for place in reached)
    values = [
        [tree.nodes[place].value for place in reached]
        for tree, reached in zip(one.trees, leaves, strict=True)
    ]
    np.testing.assert_allclose(np.sum(values, axis=0), one.scores(bits))


def test_many_borrowers_are_scored_in_steps() -> None:
    """More than one step holds: the same as each by itself."""
    one, bits = forest(3), bits_of(4, 40_000)
    scores = one.scores(bits)
    for at in (0, 16_383, 16_384, 39_999):
        alone = {party: own[:, at : at + 1] for party, own in bits.items()}
        assert one.scores(alone)[0] == pytest.approx(scores[at])


def test_no_trees_add_nothing() -> None:
    """Nor does a tree of one leaf ask anybody."""
    assert Forest([], SPLITS).scores(bits_of(1)).tolist() == [0.0] * 40
    assert Forest([], SPLITS).base == 0.0
    leaf = Forest([Tree((Node(0.25, 3),))], SPLITS)
    assert leaf.scores(bits_of(1)).tolist() == [0.25] * 40
    assert leaf.scores({}).tolist() == [0.25]
    assert leaf.base == 0.25
    assert not any(own.any() for own in leaf.contributions(bits_of(1)).values())


def test_bits_of_other_shapes_are_refused() -> None:
    """Too few splits, or borrowers of another number."""
    one, bits = forest(3), bits_of(4)
    with pytest.raises(ValueError, match=r"bits of platform of shape \(2, 40\); \(3, 40\)"):
        one.scores(bits | {"platform": bits["platform"][:2]})
    with pytest.raises(ValueError, match=r"bits of \[3, 40\] borrowers"):
        one.scores(bits | {"platform": bits["platform"][:, :3]})


GOOD = (Node(0.0, 3, "bank", 0, 1, 2), Node(1.0, 2), Node(-1.0, 1))


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ((), "its nodes do not make one tree"),
        ((GOOD[0], GOOD[1]), "node 0 has no child 2 after it"),
        ((*GOOD, Node(0.0, 1)), "its nodes do not make one tree"),
        ((replace(GOOD[0], right=1), *GOOD[1:]), "its nodes do not make one tree"),
        ((replace(GOOD[0], right=0), *GOOD[1:]), "node 0 has no child 0 after it"),
        ((replace(GOOD[0], right=-1), *GOOD[1:]), "node 0 has no child -1 after it"),
        ((replace(GOOD[0], split=2), *GOOD[1:]), "asks split 2 of 'bank', which has 2"),
        ((replace(GOOD[0], split=-1), *GOOD[1:]), "asks split -1 of 'bank', which has 2"),
        ((replace(GOOD[0], party="x"), *GOOD[1:]), "asks split 0 of 'x', which has 0"),
        ((GOOD[0], replace(GOOD[1], value=float("nan")), GOOD[2]), "node 1 has a value that"),
        ((GOOD[0], replace(GOOD[1], cover=-1.0), GOOD[2]), "node 1 has a value that"),
    ],
)
def test_what_is_no_tree_is_refused(nodes: tuple[Node, ...], sentence: str) -> None:
    """With the place and the node."""
    Tree(GOOD).check(SPLITS, "model.json: tree 7")
    with pytest.raises(InputError, match=rf"^model\.json: tree 7: .*{sentence}"):
        Tree(nodes).check(SPLITS, "model.json: tree 7")


def test_splits_that_no_tree_asks_are_left_out() -> None:
    """The others are numbered anew; scores stay."""
    splits = {
        "bank": (Split(0, (0,)), Split(1, (0,))),
        "platform": tuple(Split(0, (place,)) for place in range(3)),
        "lessor": (),
    }
    tree = Tree((Node(0.0, 3, "platform", 2, 1, 2), Node(1.0, 2), Node(-1.0, 1)))
    trees, kept = only_used([tree], splits)
    assert kept == {"bank": (), "platform": (Split(0, (2,)),), "lessor": ()}
    assert trees[0].nodes[0] == Node(0.0, 3, "platform", 0, 1, 2)
    bits = bits_of(2)
    fewer = {p: own[[2]] if p == "platform" else own[:0] for p, own in bits.items()}
    np.testing.assert_array_equal(
        Forest(trees, {p: len(own) for p, own in kept.items()}).scores(fewer),
        Forest([tree], SPLITS).scores(bits),
    )


def test_a_book_asks_for_each_split_once() -> None:
    """And gives its bits back as they came, whatever the number of borrowers."""
    book, bits = SplitBook(13), bits_of(5, 13)["platform"]
    splits = [Split(0, (0,)), Split(0, (1,)), Split(2, (0, 3))]
    assert book.missing([*splits[:2], splits[0]]) == splits[:2]
    book.add(splits[:2], bits[:2])
    assert book.missing(splits) == splits[2:]
    book.add(splits[2:], bits[2:])
    assert book.splits == tuple(splits)
    for split, row in zip(splits, bits, strict=True):
        np.testing.assert_array_equal(book.bits(book.number(split)), row)
