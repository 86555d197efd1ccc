"""Forged heads with code in their files, or a schema that asks for some."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.heads.forged import (
    ATTACKS,
    NOTHING,
    Attack,
    Payload,
    add_attribute,
    attack,
    attacks,
    change_schema,
    describe,
    node,
    put,
    put_arrays,
    rezip,
    text,
    texts,
)


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Payload(canary))


def torch_pickled(folder: Path, canary: Path) -> bytes:
    torch.save(Payload(canary), folder / "x")
    content = (folder / "x").read_bytes()
    (folder / "x").unlink()
    return content


def command(canary: Path) -> str:
    return f"touch {canary}"


attacks(
    "svm-poly",
    a_pickle_for_the_arrays=(
        lambda f, c: put(f, "head.safetensors", pickled(c)), "header is too long"),
    a_pickle_of_torch_for_the_arrays=(
        lambda f, c: put(f, "head.safetensors", torch_pickled(f, c)), "header is too long"),
    a_pickle_for_the_description=(
        lambda f, c: (f / "head.json").write_bytes(pickled(c)), "is not the JSON expected"),
    a_pickle_beside=(lambda f, c: (f / "head.pkl").write_bytes(pickled(c)), "is no part of it"),
    a_pickle_behind_the_arrays=(
        lambda f, c: put(f, "head.safetensors",
                         (f / "head.safetensors").read_bytes() + pickled(c)), "no safetensors"),
    a_classifier_in_skops_for_a_head_of_arrays=(
        lambda f, c: put(f, "head.skops", pickled(c)), "is kept without head.skops"),
)  # fmt: skip


def add_member(name: str, content: Callable[[Path], bytes]) -> Attack:
    return lambda f, c: rezip(f, lambda members: members.update({name: content(c)}))


def use_member(content: Callable[[Path], bytes]) -> Attack:
    """Put an array in the place of the coefficients'."""

    def work(folder: Path, canary: Path) -> None:
        def change(members: dict[str, bytes]) -> None:
            members[next(n for n in members if n.endswith(".npy"))] = content(canary)

        rezip(folder, change)

    return work


def npy(header: str, data: bytes = b"") -> bytes:
    line = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + data


def array_of_objects(canary: Path) -> bytes:
    path = canary.with_suffix(".npy")
    np.save(path, np.array([Payload(canary)], dtype=object), allow_pickle=True)
    return path.read_bytes()


attacks(
    "theirs",
    a_pickle_for_the_classifier=(lambda f, c: put(f, "head.skops", pickled(c)), "no skops file"),
    a_pickle_in_the_zip=(add_member("data.pkl", pickled), "'data.pkl', which is no array"),
    a_path_out_of_the_zip=(add_member("../../evil.npy", lambda c: b"x"), "which is no array"),
    a_path_from_the_root=(add_member("/tmp/evil.npy", lambda c: b"x"), "which is no array"),
    an_array_of_pickled_objects=(use_member(array_of_objects), "is not a plain array"),
    an_array_whose_header_is_code=(
        use_member(lambda c: npy(f"__import__('os').system('{command(c)}')")), "is no array"),
    an_array_that_claims_a_terabyte=(
        use_member(lambda c: npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 131072), }")),
        "not as long as it says"),
    an_array_of_a_negative_shape=(
        use_member(lambda c: npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }", bytes(64))),
        "cannot|array"),
    an_array_that_is_not_finite=(
        use_member(lambda c: npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", b"\xff" * 8)),
        "not finite"),
    a_zip_bomb=(
        lambda f, c: rezip(f, lambda m: m.update({"9.npy": bytes(2**27)}),
                           compression=zipfile.ZIP_DEFLATED), "is compressed"),
    a_zip_of_too_many=(
        lambda f, c: rezip(f, lambda m: m.update({f"{i}.npy": b"" for i in range(2000)})),
        "too many members"),
    no_schema=(lambda f, c: rezip(f, lambda m: m.pop("schema.json")), "no skops file"),
    a_schema_nested_too_deep=(
        lambda f, c: rezip(f, lambda m: m.update(
            {"schema.json": b'{"content":' * 100_000 + b"1" + b"}" * 100_000})), "too deep"),
    the_arrays_missing=(lambda f, c: put_arrays(f, preprocess_scale_=None), "'scale_' is missing"),
    another_scikit_learn=(
        lambda f, c: describe(f, **{"versions__scikit-learn": "0.1"}), "fitted by scikit-learn"),
)  # fmt: skip


def nodes(canary: Path) -> dict[str, dict[str, Any]]:
    """Return the ways in which skops' schema can name code."""
    estimator = node("ObjectNode", "sklearn.linear_model._ridge", "RidgeClassifier")
    of_numpy = {**NOTHING, "content": {"bit_generator": text("seed")}}
    return {
        "a function": node("FunctionNode", "os", "system"),
        "a function trusted by skops": node("FunctionNode", "numpy", "add"),
        "a type": node("TypeNode", "subprocess", "Popen"),
        "a method": node("MethodNode", "sklearn.linear_model._ridge", "RidgeClassifier",
                         content={"func": "fit", "obj": estimator}),
        "a call of a method": node("OperatorFuncNode", "operator", "methodcaller",
                                   attrs=texts("system", command(canary))),
        "a partial": node("PartialNode", "functools", "partial", content={
            "func": node("FunctionNode", "os", "system"), "args": texts(command(canary)),
            "kwds": texts(), "namespace": texts()}),
        "a constructor": node("ConstructorFromReduceNode", "subprocess", "Popen",
                              content=texts(f"touch {canary}")),
        "an object of another type": node("ObjectNode", "subprocess", "Popen", content=texts()),
        "an estimator that skops trusts": node(
            "ObjectNode", "sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        "a tree": node("TreeNode", "sklearn.tree._tree", "Tree", content=texts(),
                       __reduce__={"args": texts()}),
        "a random generator": node("RandomGeneratorNode", "numpy.random", "Generator",
                                   content={"bit_generator": of_numpy, "seed_seq": of_numpy}),
        "a sparse matrix": node("SparseMatrixNode", "scipy.sparse", "csr_matrix", type="scipy",
                                file="schema.json"),
        "bytes": node("BytesNode", "builtins", "bytes", file="schema.json"),
        "an array of another type": node("NdArrayNode", "os", "system", type="numpy",
                                         file="1.npy"),
        "an array of code": node("NdArrayNode", "numpy", "ndarray", type="json", content=[
            node("FunctionNode", "os", "system")], shape=texts()),
        "a list of another type": node("ListNode", "subprocess", "Popen", content=[
            text(command(canary))]),
        "a tuple of another type": node("TupleNode", "os", "system", content=[
            text(command(canary))]),
        "a dictionary whose keys are calls": node(
            "DictNode", "builtins", "dict", content={command(canary): text("")},
            key_types=node("ListNode", "builtins", "list", content=[
                node("TypeNode", "os", "system")])),
        "a dictionary that is a call": node(
            "DictNode", "subprocess", "Popen", content={}, key_types=texts()),
        "a default": node("DefaultDictNode", "collections", "defaultdict", content={
            "main": texts(), "default_factory": node("TypeNode", "subprocess", "Popen")}),
        "a node of no kind": {"x": 1},
        "text nested too deep": node("JsonNode", "builtins", "str", content="[" * 900),
        "a reference to nothing": node("CachedNode", "None", "None", __id__=12345),
    }  # fmt: skip


def _with_node(name: str) -> Attack:
    return lambda folder, canary: add_attribute(folder, nodes(canary)[name])


for _name in nodes(Path()):
    ATTACKS[f"{_name} (theirs)"] = "theirs", _with_node(_name), "not trusted|too deep|JSON expected"


@attack("theirs", "an attribute '__class__', which is not trusted")
def the_class_itself(folder: Path, canary: Path) -> None:
    add_attribute(folder, text("x"), "__class__")


@attack("theirs", "cannot predict|cannot be read")
def a_method_overwritten(folder: Path, canary: Path) -> None:
    add_attribute(folder, text("x"), "predict")


@attack("theirs", "cannot be read|cannot predict")
def an_object_inside_itself(folder: Path, canary: Path) -> None:
    def change(schema: dict[str, Any]) -> None:
        schema["__id__"] = 7
        schema["content"]["content"]["coef_"] = node(
            "ObjectNode", "sklearn.linear_model._ridge", "RidgeClassifier",
            content=NOTHING, __id__=7)  # fmt: skip

    change_schema(folder, change)


@attack("theirs", "holds a sklearn.svm._classes.LinearSVC, where the head has a RidgeClassifier")
def another_trusted_classifier(folder: Path, canary: Path) -> None:
    other = {"__module__": "sklearn.svm._classes", "__class__": "LinearSVC"}
    change_schema(folder, lambda schema: schema.update(other))


@attack("theirs", "keys in another container, or too few")
def attributes_without_a_type(folder: Path, canary: Path) -> None:
    """Read by skops, they would go missing without a word."""
    change_schema(folder, lambda schema: schema["content"]["key_types"].update(content=[]))


@attack("theirs", "not of skops' protocol")
def an_old_protocol_with_laxer_nodes(folder: Path, canary: Path) -> None:
    change_schema(folder, lambda schema: schema.update({"protocol": 0}))


@attack("theirs", "is kept in head.skops")
def a_head_without_its_classifier(folder: Path, canary: Path) -> None:
    described = json.loads((folder / "head.json").read_bytes())
    describe(folder, files={"head.safetensors": described["files"]["head.safetensors"]})
    (folder / "head.skops").unlink()
