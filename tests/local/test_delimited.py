from __future__ import annotations

import csv
import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nbhelpers.errors import DataError, UserErrorException
from nbhelpers.local.dataset import Dataset, DataType
from nbhelpers.local.store import open_store

read = Dataset.Tabular.from_delimited_files


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBHELPERS_HOME", str(tmp_path / "home"))


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def frame_of(folder: Path, content: str | bytes, **options: object) -> pd.DataFrame:
    return read(written(folder, content), **options).to_pandas_dataframe()


def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 90, 300),
            "price.idx": generator.normal(93, 1, 300).round(3),
            "rate": np.where(generator.random(300) < 0.1, np.nan, generator.normal(size=300).round(1)),
            "job": generator.choice(["admin.", "Straße; 5", "a, b", 'say "hi"', "two\nlines", "NA", "?"], 300),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 10**6, 300), unit="s"),
            "y": generator.choice(["yes", "no"], 300),
        }
    )


FORMS = {
    "plain": {},
    "semicolons and decimal commas": {"sep": ";", "decimal": ","},
    "tabs": {"sep": "\t"},
    "pipes": {"sep": "|"},
    "all quoted": {"quoting": csv.QUOTE_ALL},
    "UTF-16": {"encoding": "utf-16"},
    "UTF-8 with mark": {"encoding": "utf-8-sig"},
    "CRLF": {"lineterminator": "\r\n"},
    "cp1252": {"encoding": "cp1252"},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_way_to_write_a_table_gives_the_same_table_and_digest(tmp_path, form):
    expected = Dataset.Tabular.from_pandas_dataframe(table())
    table().to_csv(tmp_path / "table.csv", index=False, **form)

    dataset = read(tmp_path / "table.csv")

    assert dataset.digest == expected.digest
    pd.testing.assert_frame_equal(dataset.to_pandas_dataframe(), table())


@pytest.mark.skipif("BANK_MARKETING_CSV" not in os.environ, reason="BANK_MARKETING_CSV names no file")
def test_bank_marketing_loads_as_in_the_seed_also_with_semicolons_and_decimal_commas(tmp_path):
    raw = pd.read_csv(os.environ["BANK_MARKETING_CSV"])
    raw.to_csv(tmp_path / "german.csv", index=False, sep=";", decimal=",")

    dataset = read(os.environ["BANK_MARKETING_CSV"])
    frame = dataset.to_pandas_dataframe()

    assert frame.dtypes["age"] == np.int64
    assert dataset.row_count == 32_950
    assert frame.describe().loc["mean", "nr.employed"] == pytest.approx(5166.859608, abs=1e-6)
    pd.testing.assert_frame_equal(frame, raw)
    assert read(tmp_path / "german.csv").digest == dataset.digest


def test_a_first_line_that_names_the_separator_is_no_header(tmp_path):
    frame = frame_of(tmp_path, 'sep=;\n\na;b\n1,5;x\n2;"y\nz"\n')
    assert frame.to_dict("list") == {"a": [1.5, 2.0], "b": ["x", "y\nz"]}
    assert frame_of(tmp_path, '"sep=:"\r\na:b\r\n1:2\r\n').to_dict("list") == {"a": [1], "b": [2]}
    assert frame_of(tmp_path, "sep=|\n1|2\n", header=False).to_dict("list") == {"Column1": [1], "Column2": [2]}


def test_gzip_and_zip_are_unpacked(tmp_path):
    content = b"a,b\n1,x\n"
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", content)
    packed = written(tmp_path, gzip.compress(content), "t.csv.gz")

    assert read(packed).digest == read(tmp_path / "t.zip").digest == read(written(tmp_path, content)).digest


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,00123\n2,4567\n", {"a": [1, 2], "b": ["00123", "4567"]}),
        ("a,b\n1,12345678901234567890\n", {"a": [1], "b": ["12345678901234567890"]}),
        ("a,b\n1,NA\n2,?\n3,unknown\n", {"a": [1, 2, 3], "b": ["NA", "?", "unknown"]}),
        ("a,b\n1,x\n2,\n3,  \n", {"a": [1, 2, 3], "b": ["x", None, None]}),
        ("a,b\n1,nan\n2,3\n", {"a": [1, 2], "b": ["nan", "3"]}),
        ("a,b\nTrue,1e3\nfalse,.5\n", {"a": [True, False], "b": [1000.0, 0.5]}),
        ("a,b\n1,1_000\n2,0x10\n", {"a": [1, 2], "b": ["1_000", "0x10"]}),
        ("a,b,\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}),
        (",a\n0,x\n1,y\n", {"Column1": [0, 1], "a": ["x", "y"]}),
        ("\n\na,b\n\n1,2\n\n", {"a": [1], "b": [2]}),
        ("a\n1\n\n2\n\n", {"a": [1, 2]}),
        ("a, b\n1, 2\n", {"a": [1], "b": [2]}),
        ("a;b\n1,5;x\n2;y\n", {"a": [1.5, 2.0], "b": ["x", "y"]}),
        ("a;b\n1,234;0.5\n2,345;1.5\n", {"a": ["1,234", "2,345"], "b": [0.5, 1.5]}),
        ('a,b\n"1,5",x\n', {"a": ["1,5"], "b": ["x"]}),
        ("name;address\nA;1, Street, City\nB;2, Street, City\n", {"name": ["A", "B"]}),
        ('"a\nz",b\r\n"x\ny",2\r\n', {"a\nz": ["x\ny"], "b": [2]}),
        ("a,b\r1,2\r", {"a": [1], "b": [2]}),
        ("a,b\r\n1,2\n3,4\r\n", {"a": [1, 3], "b": [2, 4]}),
        ("A,a\n1,2\n", {"A": [1], "a": [2]}),
        (b"x,y\n1,Espa\xf1a\n", {"y": ["España"]}),
        ("x,y\nПривет,мир\n".encode("cp1251"), {"x": ["Привет"], "y": ["мир"]}),
    ],
)
def test_what_columns_hold(tmp_path, content, expected):
    frame = frame_of(tmp_path, content)
    assert {name: frame[name].tolist() for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01", "2024-03-01"),
        ("2024-03-01 10:20", "2024-03-01 10:20"),
        ("2024-03-01T10:20:30.5Z", "2024-03-01 10:20:30.5"),
        ("2024-03-01T10:20:30+02:00", "2024-03-01 08:20:30"),
        ("31.12.2024", "2024-12-31"),
        ("12/31/2024 10:20", "2024-12-31 10:20"),
    ],
)
def test_dates_become_times_in_utc(tmp_path, text, expected):
    frame = frame_of(tmp_path, f"a,b\n1,{text}\n2,\n")
    assert frame["b"].dtype == "datetime64[ns]"
    assert frame["b"][0] == pd.Timestamp(expected)
    assert pd.isna(frame["b"][1])


@pytest.mark.parametrize("text", ["01/02/2024", "2024-02-30", "12:30", "31.12.24"])
def test_what_may_or_may_not_be_a_date_stays_text(tmp_path, text):
    assert frame_of(tmp_path, f"a,b\n1,{text}\n")["b"].tolist() == [text]


def test_types_are_decided_over_all_rows(tmp_path):
    rows = "".join(f"{n},{n}\n" for n in range(2_500))
    frame = frame_of(tmp_path, f"a,b\n{rows}2500,end\n")
    assert frame["a"].dtype == np.int64
    assert frame["b"].iloc[[0, -1]].tolist() == ["0", "end"]


def test_missing_values_in_whole_numbers_keep_the_others(tmp_path):
    assert frame_of(tmp_path, "a,b\n1,5\n2,\n")["b"].tolist()[0] == 5.0


def test_dates_that_pandas_cannot_hold_are_missing_or_refused(tmp_path):
    dataset = read(written(tmp_path, "a,b\n1,9999-12-31\n2,2024-01-01\n"))
    assert dataset.to_pandas_dataframe()["b"].isna().tolist() == [True, False]
    with pytest.raises(DataError, match="'b' has the date 9999-12-31"):
        dataset.to_pandas_dataframe(out_of_range_datetime="error")


def test_sdk_arguments(tmp_path):
    path = written(tmp_path, "zip,n,d,t\n12,1,01/02/2024,\n34,2,03/02/2024,x\n")
    types = {"zip": DataType.to_string(), "n": DataType.to_float(), "d": DataType.to_datetime("%d/%m/%Y")}
    frame = read(path, set_column_types=types, empty_as_string=True, include_path=True).to_pandas_dataframe()
    assert frame["zip"].tolist() == ["12", "34"]
    assert frame["n"].dtype == np.float64
    assert frame["d"][1] == pd.Timestamp("2024-02-03")
    assert frame["t"].tolist() == ["", "x"]
    assert frame["Path"].tolist() == ["table.csv", "table.csv"]

    assert read(path, infer_column_types=False).to_pandas_dataframe()["n"].tolist() == ["1", "2"]
    assert read(path, header=False).columns == ["Column1", "Column2", "Column3", "Column4"]


def test_several_files_are_read_one_after_the_other(tmp_path):
    paths = [written(tmp_path, "a,b\n1,x\n", "1.csv"), written(tmp_path, "a;b\n2,5;y\n", "2.csv")]
    assert read(paths).to_pandas_dataframe()["b"].tolist() == ["x", "y"]


def test_texts_of_many_characters_fit_into_the_memory(tmp_path):
    lines = "".join(f"{n},{'x' * 20_000}{n}\n" for n in range(4_000))
    path = written(tmp_path, gzip.compress(f"n,text\n{lines}".encode(), compresslevel=1), "long.csv.gz")
    dataset = read(path)
    assert dataset.row_count == 4_000
    assert dataset.skip(3_999).to_pandas_dataframe()["text"].tolist() == ["x" * 20_000 + "3999"]


def test_an_encoding_that_was_guessed_is_said(tmp_path, capsys):
    read(written(tmp_path, b"x,y\n1,caf\xe9\n"))
    assert "table.csv is not UTF-8: read as cp1252" in capsys.readouterr().out


def test_a_named_encoding_is_used(tmp_path, capsys):
    frame = frame_of(tmp_path, "x,y\n1,Łódź\n".encode("cp1250"), encoding="cp1250")
    assert frame["y"].tolist() == ["Łódź"]
    assert capsys.readouterr().out == ""


def test_path_with_pattern_characters_and_quotes(tmp_path):
    folder = tmp_path / "it's [1]*"
    folder.mkdir()
    assert read(written(folder, "a,b\n1,2\n", "x?[2].csv")).row_count == 1


MISTAKES = {
    "too many fields": ("a,b\n1,2\n1,2,3\n", {}, "table.csv, line 3: 3 fields instead of the 2"),
    "too few fields": ("a,b,c\n1,2,3\n1,2\n", {}, "table.csv, line 3: 2 fields instead of the 3"),
    "line after a text of two lines": ('a,b\n"x\ny",2\n1,2,3\n', {}, "line 4: 3 fields"),
    "one name, several fields": ("a\n1,2\n", {}, "line 2: 2 fields instead of the 1"),
    "open quote": ('a,b\n"x,2\n3,4\n', {}, "line 2: the quotes do not match"),
    "text after a quote": ('a,b\n1,2\n"x"y,2\n', {}, "line 3: the quotes do not match"),
    "same name twice": ("a,b,a\n1,2,3\n", {}, "several columns of the same name: 'a'"),
    "header only": ("a,b\n", {}, "has no rows"),
    "empty": ("", {}, "is empty"),
    "blank lines only": ("\n\n\n", {}, "lines are blank"),
    "blanks only": ("  \n \n", {}, "lines are blank"),
    "separators only": (",,\n,,\n", {}, "lines are blank"),
    "endless text": ("a,b\n1," + "x" * 3_000_000, {}, "line 2: .*a text is too long"),
    "format of a date": ("d\nx\n", {"set_column_types": {"d": DataType.to_datetime("%Q")}}, "formats %Q"),
    "NUL": (b"a,b\nx\0,2\n", {}, "NUL character on line 2"),
    "web page": ("\n<!DOCTYPE html><html>", {}, "is a web page"),
    "workbook": (b"\xd0\xcf\x11\xe0", {}, "Excel workbook"),
    "Parquet": (b"PAR1....", {}, "is a Parquet file"),
    "broken gzip": (gzip.compress(b"a,b\n1,2\n" * 99)[:-9], {}, "cannot be unpacked"),
    "wrong encoding": (b"a,b\n1,2\nx,\xe9\n", {"encoding": "ascii"}, "is not ascii after line"),
    "unknown encoding": ("a,b\n1,2\n", {"encoding": "utf9"}, "encoding='utf9' is not an encoding"),
    "other separator": ("a,b\n1,2\n", {"separator": ";"}, "no separator ';' in its first line; ',' seems"),
    "long separator": ("a,b\n1,2\n", {"separator": "::"}, "separator='::'"),
    "partition_format": ("a,b\n1,2\n", {"partition_format": "{x}"}, "partition_format='{x}' is not supported"),
    "header is no bool": ("a,b\n1,2\n", {"header": "infer"}, "header='infer' is neither True nor False"),
    "unknown column": ("abc,b\n1,2\n", {"set_column_types": {"abd": DataType.to_long()}}, "'abd'.*\n.*'abc'"),
    "value of another type": ("a,b\n1,2\nx,3\n", {"set_column_types": {"a": DataType.to_long()}}, "row 2 has 'x'"),
    "no DataType": ("a,b\n1,2\n", {"set_column_types": {"a": "long"}}, "'long', which is not a DataType"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_a_remedy_and_leave_nothing_behind(tmp_path, mistake):
    content, options, message = mistake
    store = open_store()
    with pytest.raises(UserErrorException, match=message) as caught:
        read(written(tmp_path, content), **options)
    assert caught.value.remedy
    assert list(store.data_folder.iterdir()) == []


def test_workbook_and_archive_of_several_files_are_refused(tmp_path):
    for members, message in (
        (["xl/workbook.xml"], "Excel workbook"),
        (["a.csv", "b.csv"], r"holds 2 files \(a.csv, b"),
    ):
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
            for member in members:
                archive.writestr(member, "a,b\n1,2\n")
        with pytest.raises(DataError, match=message):
            read(tmp_path / "t.xlsx")


def test_files_with_other_columns_are_refused(tmp_path):
    paths = [written(tmp_path, "a,b\n1,x\n", "1.csv"), written(tmp_path, "a,c\n2,y\n", "2.csv")]
    with pytest.raises(DataError, match=r"2.csv has the columns a, c; 1.csv has a, b"):
        read(paths)
