import pytest

from indexer import chunker
from indexer.comments import plain_comment
from indexer.languages import LANGUAGES
from indexer.parser import parse
from indexer.references import MAX_NAME
from indexer.syntax import MAX_DEPTH, read_syntax
from indexer.types import ParsedFile

from .samples import SAMPLES


def parsed(path: str, text: str) -> ParsedFile:
    result = parse(path, text.encode())
    assert isinstance(result, ParsedFile)
    assert result.note == ""
    return result


def names(path: str, text: str) -> list[str]:
    return [f"{d.kind} {d.qualified_name}" for d in parsed(path, text).definitions]


def references(path: str, text: str) -> set[str]:
    return {f"{reference.kind} {reference.name}" for reference in parsed(path, text).references}


def test_there_is_a_sample_of_every_language_that_has_a_grammar():
    assert set(SAMPLES) == {name for name, language in LANGUAGES.items() if language.reader == "code"}
    assert len(SAMPLES) == 20


@pytest.mark.parametrize("name", SAMPLES)
def test_definitions_have_their_kind_qualified_name_and_lines(name):
    sample = SAMPLES[name]
    file = parsed(sample.path, sample.source)
    assert file.language == name
    found = [f"{d.kind} {d.qualified_name} {d.start_line}-{d.end_line}" for d in file.definitions]
    assert found == sample.definitions.strip().split("\n")


@pytest.mark.parametrize("name", SAMPLES)
def test_references_are_calls_types_imports_and_what_is_inherited(name):
    sample = SAMPLES[name]
    expected = {reference.strip() for reference in sample.references.split(",")}
    assert expected - references(sample.path, sample.source) == set()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_header_is_what_the_file_says_about_itself(name):
    sample = SAMPLES[name]
    assert parsed(sample.path, sample.source).header == sample.header


@pytest.mark.parametrize("name", SAMPLES)
def test_a_definition_stands_on_the_line_that_names_it(name):
    sample = SAMPLES[name]
    lines = sample.source.split("\n")
    for definition in parsed(sample.path, sample.source).definitions:
        assert definition.start_line <= definition.line <= definition.end_line
        assert definition.name.strip('"') in lines[definition.line - 1] or definition.kind == "method"
        assert definition.signature == lines[definition.line - 1].strip()[:MAX_NAME]
        assert definition.qualified_name.endswith(definition.name)


@pytest.mark.parametrize("name", SAMPLES)
def test_chunks_are_called_after_definitions_whose_lines_they_hold(name, monkeypatch):
    monkeypatch.setattr(chunker, "MAX_CHARACTERS", 200)
    monkeypatch.setattr(chunker, "TARGET_CHARACTERS", 100)
    monkeypatch.setattr(chunker, "TINY_CHARACTERS", 30)
    sample = SAMPLES[name]
    file = parsed(sample.path, sample.source)
    blocks = read_syntax(LANGUAGES[name], sample.source.encode()).blocks
    assert len({chunk.symbol for chunk in file.chunks}) > 1
    for chunk in file.chunks:
        touched = {
            block.symbol for block in blocks if block.start_line <= chunk.end_line and block.end_line >= chunk.start_line
        }
        assert chunk.symbol in touched | {""}


TESTS = {
    "a.test.ts": 'describe("Pool", () => {\n  it.each([1])("opens %i: twice", (n) => {\n    go(n);\n  });\n});\n',
    "a.js": "test.only(`closes\n once`, async function () {\n  go();\n});\n",
    "a_spec.rb": "describe Bank::Pool do\n  context 'when new' do\n    it { go }\n  end\nend\n",
    "a_test.exs": 'defmodule PoolTest do\n  describe "open/1" do\n    test "waits", %{a: a} do\n      go(a)\n    end\n  end',
    "A.scala": 'class PoolSuite extends Suite {\n  test("waits. Twice") {\n    go()\n  }\n}\n',
    "a_spec.lua": 'describe("pool", function()\n  it("waits", function() go() end)\nend)\n',
    "a.zig": 'test "waits. Twice" {\n    go();\n}\n',
    "a.cc": "#include <a>\nTEST_F(PoolTest, Waits) {\n  go();\n}\n",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.test.ts", "Pool > opens %i: twice"),
        ("a.js", "closes once"),
        ("a_spec.rb", "Bank::Pool > when new"),
        ("a_test.exs", "PoolTest > open/1 > waits"),
        ("A.scala", "PoolSuite > waits. Twice"),
        ("a_spec.lua", "pool > waits"),
        ("a.zig", "waits. Twice"),
        ("a.cc", "PoolTest, Waits"),
    ],
)
def test_a_test_with_a_title_names_its_lines_and_defines_nothing(path, expected):
    text = TESTS[path]
    file = parsed(path, text)
    symbols = {block.symbol for block in read_syntax(LANGUAGES[file.language], text.encode()).blocks if block.kind == "test"}
    assert expected in symbols
    assert {definition.name for definition in file.definitions} <= {"PoolTest", "PoolSuite"}


def test_what_is_defined_inside_a_test_is_not_qualified_by_its_title():
    text = 'describe("Pool", () => {\n  class Fake {\n    open() {}\n  }\n});\n'
    assert names("a.js", text) == ["class Fake", "method Fake.open"]


def test_neighbouring_equations_are_one_function_and_others_of_that_name_another():
    text = "f 0 = 1\nf n = n\n\ng = f\n\nh x = x\n  where f = 2\n"
    found = [(d.qualified_name, d.start_line, d.end_line) for d in parsed("A.hs", text).definitions]
    assert found == [("f", 1, 2), ("g", 4, 4), ("h", 6, 7)]


def test_where_layout_ends_a_definition_it_does_not_reach_over_the_comment_of_the_next_one():
    text = (
        "object A {\n  def one = x match {\n    case 1 => 2 }\n\n  /** The second. */\n  def two: Int =\n    3\n\n"
        "  // Third.\n  def three = 4\n}\n"
    )
    found = [(d.name, d.start_line, d.end_line) for d in parsed("A.scala", text).definitions]
    assert found == [("A", 1, 11), ("one", 2, 3), ("two", 5, 7), ("three", 9, 10)]


@pytest.mark.parametrize("comment", ["# It adds.\n", "# It adds.\n# Always.\n", "@cached\n# It adds.\n@logged\n"])
def test_comments_and_decorators_right_above_belong_to_a_definition(comment):
    definition = parsed("a.py", f"x = 1\n\n{comment}def add(): ...\n").definitions[-1]
    assert (definition.start_line, definition.end_line) == (3, 3 + comment.count("\n"))


def test_a_comment_apart_or_behind_code_belongs_to_nobody():
    definitions = parsed("a.py", "# Apart.\n\nx = 1  # Behind.\ndef add(): ...\n").definitions
    assert [definition.start_line for definition in definitions] == [3, 4]


@pytest.mark.parametrize(
    ("path", "text", "header"),
    [
        ("a.py", '#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"""Adds."""\nx = 1\n', "Adds."),
        ("a.py", "# pylint: disable=all\n\n# Adds numbers.\nimport x\n", "Adds numbers."),
        ("a.py", "import x  # noqa: F401\n", ""),
        ("a.go", "// Copyright 2020 Somebody.\n// All rights reserved.\n\n// Package a adds.\npackage a\n", "Package a adds."),
        ("A.java", "/*\n * Licensed to nobody.\n */\npackage a;\n/** Adds. */\nclass A {}\n", "Adds."),
        ("a.c", "#include <x.h> /* for x */\n/* Adds.\n *\n * Copyright 2020 Somebody.\n */\nint a;\n", "Adds."),
        ("a.rs", "#![allow(dead_code)]\n//! Adds\n//! numbers.\n", "Adds\nnumbers."),
        ("a.ts", "// @ts-nocheck\n// eslint-disable-next-line no-console\nlet x = 1;\n", ""),
        ("a.rb", "def a; end\n# Later.\n", ""),
        ("a.lua", "--[[ Adds. ]]\nlocal a = 1\n", "Adds."),
    ],
)  # fmt: skip
def test_a_header_is_no_licence_no_word_to_a_tool_and_no_remark_on_a_line(path, text, header):
    assert parsed(path, text).header == header


def test_a_comment_that_only_repeats_the_file_name_says_nothing():
    assert plain_comment("//\n//  Feed.swift\n//\n") == ""
    assert plain_comment("//  Feed.swift\n//\n//  Shows entries.\n") == "Shows entries."


def test_nested_definitions_are_told_apart_down_to_a_limit():
    depth = MAX_DEPTH + 5
    text = "".join(f"{' ' * n}def f{n}():\n" for n in range(depth)) + " " * depth + "pass\n"
    definitions = parsed("a.py", text).definitions
    assert len(definitions) == MAX_DEPTH
    assert definitions[-1].qualified_name.count(".") == MAX_DEPTH - 1


def test_a_long_name_is_cut():
    (definition,) = parsed("a.py", f"def {'a' * 4900}(): ...\n").definitions
    assert definition.name == "a" * MAX_NAME
    assert len(definition.signature) == MAX_NAME


def test_names_in_other_scripts_and_with_marks_keep_them():
    assert names("a.py", "def größe(): ...\nclass 名前: ...\n") == ["function größe", "class 名前"]
    assert names("a.rb", "class A\n  def ok?; end\n  def []=(a, b); end\n  def self.call!; end\nend\n") == [
        "class A", "method A.ok?", "method A.[]=", "method A.call!"
    ]  # fmt: skip
    assert names("A.kt", "fun `adds two numbers`() {}\n") == ["function adds two numbers"]
    operators = "struct A { bool operator<(A b); A& operator()(); ~A(); };\nint A::operator[](int n) { return n; }\n"
    assert names("a.cpp", operators) == [
        "struct A", "prototype A.operator<", "prototype A.operator()", "prototype A.~A", "function A.operator[]"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.cpp", "namespace a::b { void C<int>::f() {} }", "function a.b.C.f"),
        ("a.lua", "function a.b:c() end", "method a.b.c"),
        ("a.js", "Foo.prototype.bar = function () {};", "function Foo.bar"),
        ("a.rs", "impl<T> fmt::Display for Vec<Option<T>> { fn fmt(&self) {} }", "method Vec.fmt"),
        ("a.rs", "impl<'a> IntoIterator for &'a mut Params { fn go(self) {} }", "method Params.go"),
        ("a.zig", 'const A = struct {\n    @"enum": u8,\n};\n', "field A.enum"),
        ("a.cpp", f"template <> struct formatter<{'A, ' * 100}B> {{ int f() {{}} }};", "method formatter.f"),
        ("a.js", 'x = { "text/plain": () => 1 };', "function text/plain"),
        ("a.go", "package a\nfunc (s *Set[K, V]) Add() {}", "method Set.Add"),
        ("A.kt", "fun <T> Map<String, T>.second() = 2", "function Map.second"),
        ("a.rb", "class A::B\n  def c; end\nend", "method A.B.c"),
        ("a.php", "<?php class A { function __construct(private int $b) {} }", "property A.b"),
    ],
)
def test_the_parts_of_a_qualified_name_are_joined_by_dots(path, text, expected):
    assert expected in names(path, text)


def test_what_defines_a_name_is_no_reference_to_it_but_what_a_scope_extends_is_one():
    assert "type Cache" not in references("a.rs", "struct Cache;\n")
    assert "type Cache" in references("a.rs", "impl Cache {}\n")


def test_a_name_used_twice_on_a_line_is_one_reference():
    found = [r for r in parsed("a.py", "f(1) + f(2)\nf(3)\n").references if r.name == "f"]
    assert [(reference.line, reference.kind) for reference in found] == [(1, "call"), (2, "call")]


def test_code_with_errors_still_gives_what_surrounds_them():
    text = "def before():\n    pass\n\nclass Broken(\n\ndef after():\n    return 1\n"
    assert "function before" in names("a.py", text)
    assert "function after" in names("a.py", text)


def test_what_a_javascript_file_exports_and_the_function_that_a_factory_returns_are_defined():
    factory = "export function middleware(options) {\n  return function serveStatic(request) {\n    return options\n  }\n}\n"
    assert names("static.js", factory) == ["function middleware", "function middleware.serveStatic"]
    # An interface that tree-sitter can't read to its end holds all that follows.
    unclosed = "export interface Creators<S> {\n\nexport const createSlice = buildCreateSlice()\n"
    assert "variable Creators.createSlice" in names("slice.ts", unclosed)
    assert names("settings.ts", "export namespace Limits {\n  export const most = 3\n}\n") == [
        "namespace Limits",
        "variable Limits.most",
    ]
