"""Forged heads whose sizes, values, names or places are not what they should be."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_torch

from tests.heads.forged import Attack, attacks, describe, put, put_arrays, safetensors


def header(**tensors: Any) -> bytes:
    return safetensors(tensors, bytes(64))


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


attacks(
    "svm-poly",
    a_header_of_eight_exabytes=(
        lambda f, c: put(f, "head.safetensors", safetensors({}, length=2**63)), "header is too"),
    a_header_longer_than_the_file=(
        lambda f, c: put(f, "head.safetensors", safetensors({}, length=5000)), "header is too"),
    a_header_of_megabytes=(
        lambda f, c: put(f, "head.safetensors", safetensors(b"[" * 2**22)), "header is too long"),
    a_header_nested_too_deep=(
        lambda f, c: put(f, "head.safetensors", safetensors(b"[" * 60_000)), "too deep"),
    a_name_twice_in_the_header=(
        lambda f, c: put(f, "head.safetensors", safetensors(b'{"a": 1, "a": 1}')), "there twice"),
    offsets_out_of_the_file=(
        lambda f, c: put(f, "head.safetensors", header(a=tensor("F64", [2**40], 0, 2**43))),
        "no safetensors"),
    offsets_that_overlap=(
        lambda f, c: put(f, "head.safetensors", header(
            a=tensor("F64", [8], 0, 64), b=tensor("F64", [8], 0, 64))), "no safetensors"),
    a_shape_that_is_not_its_size=(
        lambda f, c: put(f, "head.safetensors", header(a=tensor("F64", [9], 0, 64))),
        "no safetensors"),
    a_shape_that_overflows=(
        lambda f, c: put(f, "head.safetensors", header(a=tensor("F64", [2**33, 2**33], 0, 64))),
        "no safetensors"),
    an_empty_array_of_a_huge_shape=(
        lambda f, c: put(f, "head.safetensors", safetensors(
            {"core.gamma": tensor("F64", [0, 2**60], 0, 0)})), "safetensors|missing"),
    a_dtype_that_numpy_has_not=(
        lambda f, c: put(f, "head.safetensors", save_torch(
            {"core.gamma": torch.zeros(1, dtype=torch.bfloat16)})), "no safetensors"),
    an_empty_file=(lambda f, c: put(f, "head.safetensors", b""), "no safetensors"),
    arrays_larger_than_any=(
        lambda f, c: os.truncate(f / "head.safetensors", 2**40), "no such file has more"),
    a_description_larger_than_any=(
        lambda f, c: os.truncate(f / "head.json", 2**40), "no such file has more"),
    an_array_missing=(lambda f, c: put_arrays(f, core_gamma=None), "'gamma' is missing"),
    an_array_nobody_knows=(lambda f, c: put_arrays(f, core_x=np.ones(1)), "'x' is not known"),
    a_part_nobody_knows=(lambda f, c: put_arrays(f, evil_x=np.ones(1)), "'evil.x' is not known"),
    a_part_of_no_use=(lambda f, c: put_arrays(f, own_x=np.ones(1)), "'x' is not known"),
    support_vectors_of_another_width=(
        lambda f, c: put_arrays(f, core_support_vectors=np.ones((50, 9))), "has shape"),
    support_vectors_of_bytes=(
        lambda f, c: put_arrays(f, core_support_vectors=np.ones((50, 4), np.uint8)), "has dtype"),
    support_vectors_not_finite=(
        lambda f, c: put_arrays(f, core_n_support=np.array([1, 0, 0]),
                                core_support_vectors=np.full((1, 4), np.nan)), "not finite"),
    a_negative_number_of_support_vectors=(
        lambda f, c: put_arrays(f, core_n_support=np.array([-5, 60, 5])), "from 0 up"),
    numbers_of_support_vectors_that_overflow=(
        lambda f, c: put_arrays(f, core_n_support=np.array([2**62, 2**62, 2**62])), "has shape"),
    too_few_coefficients=(
        lambda f, c: put_arrays(f, core_dual_coef=np.ones((2, 1))), "dual_coef has shape"),
    intercepts_for_other_classes=(
        lambda f, c: put_arrays(f, core_intercept=np.ones(99)), "intercept has shape"),
    a_negative_gamma=(lambda f, c: put_arrays(f, core_gamma=np.array(-1.0)), "from 0 up"),
    a_scale_of_zero=(lambda f, c: put_arrays(f, preprocess_scale_=np.zeros(4)), "above 0"),
    a_scale_of_another_width=(
        lambda f, c: put_arrays(f, preprocess_scale_=np.ones(5)), "scale_ has shape"),
    a_degree_that_is_text=(lambda f, c: describe(f, settings__degree="x"), "degree='x'"),
    a_degree_below_zero=(lambda f, c: describe(f, settings__degree=-1), "degree=-1"),
    a_degree_that_overflows=(
        lambda f, c: describe(f, settings__degree=10**18, settings__coef0=3.0), "not predict"),
)  # fmt: skip
attacks(
    "svm-rbf",
    components_of_no_rank=(
        lambda f, c: put_arrays(f, preprocess_components_=np.array(1.0)), "components_ has shape"),
    variances_below_zero=(
        lambda f, c: put_arrays(f, preprocess_explained_variance_=-np.ones(4)), "below 0"),
)  # fmt: skip
attacks(
    "svm-linear",  # calibrated
    a_temperature_of_zero=(lambda f, c: put_arrays(f, own_temperature=np.array(0.0)), "above 0"),
    a_temperature_not_finite=(
        lambda f, c: put_arrays(f, own_temperature=np.array(np.inf)), "temperature"),
    a_temperature_for_each=(lambda f, c: put_arrays(f, own_temperature=np.ones(3)), "temperature"),
    no_temperature=(lambda f, c: put_arrays(f, own_temperature=None), "temperature"),
    a_calibration_nobody_knows=(lambda f, c: describe(f, settings__calibrate="x"), "is none of"),
    a_calibration_that_is_a_list=(lambda f, c: describe(f, settings__calibrate=[]), "is none of"),
    another_calibration=(lambda f, c: describe(f, settings__calibrate="platt"), "calibration"),
    calibration_left_out=(lambda f, c: describe(f, settings__calibrate=None), "is not known"),
    a_core_nobody_knows=(lambda f, c: describe(f, core="os.system"), "core is none of"),
    another_core=(lambda f, c: describe(f, core="NystroemSVC"), "array"),
)  # fmt: skip
attacks(
    "mlp",
    a_hidden_layer_of_a_billion=(
        lambda f, c: describe(f, settings__hidden=[10**12]), "has shape"),
    a_hundred_thousand_layers=(
        lambda f, c: describe(f, settings__hidden=[1] * 100_000), "neither a number"),
    hidden_layers_of_text=(lambda f, c: describe(f, settings__hidden="abc"), "mlp|safetensors"),
    a_negative_layer=(lambda f, c: describe(f, settings__hidden=[-3]), "whole numbers"),
    an_impossible_dropout=(lambda f, c: describe(f, settings__dropout=7.0), "dropout"),
    epochs_without_end=(lambda f, c: describe(f, settings__epochs=10**18, settings__hidden=[4]),
                        "has shape"),
)  # fmt: skip


def raw(content: bytes) -> Attack:
    return lambda folder, canary: (folder / "head.json").write_bytes(content)


def note(name: str) -> Attack:
    return lambda f, c: describe(f, files={name: {"sha256": "0" * 64, "size": 1}})


attacks(
    "svm-poly",
    a_file_in_another_folder=(note("../../head.safetensors"), "files"),
    a_file_from_the_root=(note("/etc/passwd"), "files"),
    a_file_with_a_zero_byte=(note("head.safetensors\0"), "files"),
    no_files=(lambda f, c: describe(f, files={}), "head.safetensors is missing"),
    a_head_nobody_registered=(lambda f, c: describe(f, head="svm-evil"), "is not known here"),
    a_head_with_underscores=(lambda f, c: describe(f, head="__init__"), "head.json: head: "),
    a_head_that_is_a_path=(lambda f, c: describe(f, head="../os"), "head.json: head: "),
    a_head_that_is_a_module=(lambda f, c: describe(f, head="os.system"), "is not known here"),
    a_head_that_is_a_number=(lambda f, c: describe(f, head=7), "head.json: head: "),
    a_setting_nobody_knows=(lambda f, c: describe(f, settings__evil=1), "has no 'evil'"),
    a_setting_that_is_a_method=(lambda f, c: describe(f, settings__predict=1), "has no 'predict'"),
    a_setting_inside_another=(
        lambda f, c: describe(f, **{"settings": {"core___x": 1}}), "has no 'core___x'"),
    a_setting_nested_too_deep=(
        lambda f, c: describe(f, settings__C=[[[[[1]]]]]), "neither a number"),
    a_setting_that_is_an_object=(
        lambda f, c: describe(f, settings__C={"__reduce__": "os.system"}), "neither a number"),
    a_setting_with_control_characters=(
        lambda f, c: describe(f, settings__gamma="\x1b[2J"), "neither a number"),
    a_preprocessing_nobody_knows=(
        lambda f, c: describe(f, settings__preprocess="evil"), "preprocess is none of"),
    a_preprocessing_that_is_a_list=(
        lambda f, c: describe(f, settings__preprocess=[]), "preprocess is none of"),
    settings_that_are_a_list=(lambda f, c: describe(f, settings=[]), "settings: "),
    a_description_nested_too_deep=(raw(b"[" * 100_000), "nested too deep"),
    a_description_nested_in_settings=(
        raw(b'{"format": 1, "settings": ' + b'{"a":' * 900 + b"1" + b"}" * 901), "deep|damaged"),
    a_name_twice=(raw(b'{"format": 1, "format": 2}'), "'format' is there twice"),
    a_number_of_a_million_digits=(raw(b'{"format": ' + b"9" * 10**6 + b"}"), "beyond 64 bits"),
    not_a_number=(raw(b'{"format": NaN}'), "NaN is no JSON"),
    a_list=(raw(b"[1, 2]"), "is not a description"),
    nothing=(raw(b""), "is not the JSON expected"),
    bytes_that_are_no_text=(raw(b"\xff\xfe{}"), "is not the JSON expected"),
    a_format_of_the_future=(lambda f, c: describe(f, format=99), "from a later featbench"),
    a_format_of_text=(lambda f, c: describe(f, format="1"), "format: "),
    a_checksum_that_differs=(
        lambda f, c: (f / "head.json").write_bytes(
            (f / "head.json").read_bytes().replace(b"svm-poly", b"svm-rbf")), "is damaged"),
    no_checksum=(raw(b'{"format": 1}'), "is damaged"),
    arrays_of_another_head=(
        lambda f, c: (f / "head.safetensors").write_bytes(safetensors({})), "another file"),
    a_flipped_bit=(
        lambda f, c: (f / "head.safetensors").write_bytes(
            (f / "head.safetensors").read_bytes()[:-1] + b"\x7f"), "is damaged or another file"),
    a_key_nobody_knows=(lambda f, c: describe(f, evil=1), "evil: "),
    one_class=(lambda f, c: describe(f, classes__values=[1]), "classes.values"),
    a_class_twice=(lambda f, c: describe(f, classes__values=[0, 1, 1]), "different labels"),
    classes_in_another_order=(lambda f, c: describe(f, classes__values=[2, 1, 0]), "ascending"),
    classes_of_other_types=(lambda f, c: describe(f, classes__values=[0, "1", 2]), "not of type"),
    classes_beyond_their_type=(
        lambda f, c: describe(f, classes={"dtype": "int8", "values": [0, 1, 300]}), "int8|bounds"),
    classes_of_code=(lambda f, c: describe(f, classes__dtype="O8,os.system"), "classes.dtype"),
    a_million_classes=(lambda f, c: describe(f, classes__values=list(range(10**6 + 1))), "classes"),
    a_hundred_thousand_classes=(
        lambda f, c: describe(f, classes__values=list(range(10**5))), "has shape"),
    a_class_that_clears_the_screen=(
        lambda f, c: describe(f, classes={"dtype": "str", "values": ["a", "b\x1b[2J", "c"]}),
        "control characters"),
    a_class_that_turns_the_line_around=(
        lambda f, c: describe(f, classes={"dtype": "str", "values": ["a", "b\u202e", "c"]}),
        "control characters"),
    rows_of_no_width=(lambda f, c: describe(f, n_features=0), "n_features"),
    rows_of_a_trillion=(lambda f, c: describe(f, n_features=10**12), "n_features"),
    rows_of_another_width=(lambda f, c: describe(f, n_features=9), "has shape"),
    rows_of_a_true_width=(lambda f, c: describe(f, n_features=True), "n_features"),
)  # fmt: skip


def replaced(file: str, work: Callable[[Path], Any]) -> Attack:
    def change(folder: Path, canary: Path) -> None:
        (folder / file).unlink()
        work(folder / file)

    return change


def linked(path: Path) -> None:
    path.symlink_to("/etc/passwd")


for _file in ("head.json", "head.safetensors"):
    attacks(
        "svm-poly",
        **{
            f"{_file} missing": (replaced(_file, lambda path: None), "is missing"),
            f"{_file} a link": (replaced(_file, linked), "is a link"),
            f"{_file} a folder": (replaced(_file, Path.mkdir), "regular file|cannot be read"),
        },
    )
    if hasattr(os, "mkfifo"):  # reading one would wait for ever
        attacks(
            "svm-poly",
            **{f"{_file} a pipe": (replaced(_file, os.mkfifo), "not a regular file")},
        )
