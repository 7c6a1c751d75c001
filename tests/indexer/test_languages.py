import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.languages import LANGUAGES, TEXT, grammar, language_of, query

CODE = [language for language in LANGUAGES.values() if language.reader == "code"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.py", "python"), ("a.PY", "python"), ("src/a.pyi", "python"), ("a.mjs", "javascript"), ("a.jsx", "javascript"),
        ("a.ts", "typescript"), ("a.d.ts", "typescript"), ("a.tsx", "tsx"), ("a.go", "go"), ("a.rs", "rust"),
        ("a.java", "java"),
        ("a.c", "c"), ("a.hpp", "cpp"), ("a.cs", "csharp"), ("a.rb", "ruby"), ("Rakefile", "ruby"), ("lib/Gemfile", "ruby"),
        ("a.blade.php", "php"), ("a.kt", "kotlin"), ("build.gradle.kts", "kotlin"), ("a.swift", "swift"), ("a.scala", "scala"),
        ("a.sh", "bash"), ("a.bats", "bash"), ("a.lua", "lua"), ("a.exs", "elixir"), ("a.hs", "haskell"), ("a.zig", "zig"),
        ("README.md", "markdown"), ("a.rst", "rst"), ("a.ipynb", "notebook"), ("a.yml", "yaml"), ("a.vue", "vue"),
        ("Dockerfile.dev", "docker"), ("Makefile", "make"), ("CMakeLists.txt", "cmake"), ("Cargo.lock", "toml"),
        (".bashrc", "bash"),
        ("LICENSE", "text"), ("a.unknown", "text"), ("a", "text"), (".py", "text"), ("py", "text"),
    ],
)  # fmt: skip
def test_a_language_is_told_by_the_name_of_the_file(path, name):
    assert language_of(path, "").name == name


@pytest.mark.parametrize(
    ("first_line", "name"),
    [
        ("#!/bin/sh", "bash"),
        ("#!/usr/bin/env python3.12", "python"),
        ("#! /usr/bin/python3 -u", "python"),
        ("#!/usr/bin/env -S node --test", "javascript"),
        ("#!/usr/bin/env deno", "typescript"),
        ("#!/usr/bin/env -S deno run", "typescript"),
        ("#!/usr/local/bin/perl -w", "perl"),
        ("#!/usr/bin/env FOO=1 ruby", "ruby"),
        ("#!/bin/dash -e # sh", "bash"),
        ("#!/opt/unknown", "text"),
        ("#!/usr/bin/env", "text"),
        ("#!", "text"),
        ("# !/bin/sh", "text"),
        ("", "text"),
    ],
)
def test_a_file_without_a_telling_name_is_known_by_its_first_line(first_line, name):
    assert language_of("bin/run", f"{first_line}\necho\n").name == name


def test_the_first_line_does_not_outweigh_the_name():
    assert language_of("a.rb", "#!/bin/sh\n").name == "ruby"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("int run(void);\n", "c"),
        ("struct a { int b; };\n", "c"),
        ("/* the class of the thing */ int a;\n", "c"),
        ("class A {};\n", "cpp"),
        ("namespace a { }\n", "cpp"),
        ("  template <typename T>\nvoid f(T);\n", "cpp"),
        ("std::string name();\n", "cpp"),
    ],
)
def test_a_header_is_c_unless_it_says_otherwise(text, name):
    assert language_of("a.h", text).name == name


@pytest.mark.parametrize("language", CODE, ids=lambda language: language.name)
def test_every_language_with_a_grammar_has_a_query_that_compiles(language):
    assert grammar(language).node_kind_count > 10
    captures = {query(language).capture_name(number) for number in range(query(language).capture_count)}
    assert {"name", "comment", "reference.import"} <= captures
    assert captures & {"reference.call", "reference.bare"}
    roles = {capture.partition(".")[0] for capture in captures if not capture.startswith("_")}
    assert roles <= {"definition", "scope", "name", "receiver", "reference", "comment", "leading", "docstring"}


@given(st.text(max_size=50), st.text(max_size=100))
def test_any_name_and_text_have_a_language(path, text):
    language = language_of(path, text)
    assert language is TEXT or LANGUAGES[language.name] == language


def test_no_query_takes_long_to_compile():
    """A process compiles on the first file of a language, within that file's deadline."""
    code = (
        "import time; from indexer.languages import LANGUAGES, query\n"
        "for language in LANGUAGES.values():\n"
        "    started = time.process_time()\n"
        "    if language.reader == 'code': query(language)\n"
        "    print(language.name, time.process_time() - started)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds = {name: float(taken) for name, taken in map(str.split, done.stdout.splitlines())}
    assert {name for name, taken in seconds.items() if taken > 1} == set()
