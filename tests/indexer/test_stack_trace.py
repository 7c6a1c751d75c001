"""Stack traces of many languages: their frames, innermost first, the exception and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.stack_trace import read_exception, read_trace, suffixes

PYTHON = """Why does this fail?
Traceback (most recent call last):
  File "/home/me/app.py", line 3, in <module>
    main()
  File "/venv/lib/flask/ctx.py", line 12, in get_session
    raise RuntimeError(
    ^^^^^^^^^^^^^^^^^^^
RuntimeError: Working outside of request context."""
JAVASCRIPT = """TypeError: Cannot read properties of undefined (reading 'foo')
    at Cart.total (/src/shop/cart.js:12:5)
    at file:///src/app/main.mjs:3:1
    at Object.run (webpack:///./src/x.ts?abc:9:2)"""
JAVA = """Exception in thread "main" java.lang.IllegalStateException: no cart
\tat com.shop.Cart.total(Cart.java:12)
Caused by: com.shop.NoCartException: none
\tat com.shop.MainKt.main(Main.kt:3)
\t... 2 more"""
GO = """panic: runtime error: index out of range [3] with length 2

goroutine 1 [running]:
main.(*Cart).Total(0xc0000, 0x1)
\t/home/me/shop/cart.go:12 +0x1d
main.main()
\t/home/me/shop/main.go:5 +0x20
exit status 2"""
RUST = """thread 'main' panicked at src/cart.rs:4:5:
no cart here
stack backtrace:
   1: shop::cart::total
             at ./src/cart.rs:4:5
   2: shop::main
             at ./src/main.rs:9:1"""
RUBY = """/app/lib/cart.rb:12:in `total': undefined method `x' for nil (NoMethodError)
\tfrom /app/main.rb:3:in `<main>'"""
PHP = r"""PHP Fatal error:  Uncaught Shop\CartException: no cart in /app/src/Cart.php:12
Stack trace:
#0 /app/src/Shop.php(4): Shop\Cart->total()
#1 {main}
  thrown in /app/src/Cart.php on line 12"""
CSHARP = r"""Unhandled exception. System.InvalidOperationException: no cart
   at Shop.Cart.Total(Item item) in /src/Shop/Cart.cs:line 12
   at Program.Main() in C:\src\Program.cs:line 3"""
GDB = """#0  0x0000555 in total (cart=0x0) at src/cart.c:12
#1  main () at src/main.c:4"""
ASAN = """==123==ERROR: AddressSanitizer: heap-use-after-free on address 0x60
    #0 0x4f2 in shop::total(int) /src/cart.cc:12:3
    #1 0x4f3 in main /src/main.cc:3"""


@pytest.mark.parametrize(
    ("text", "places", "exception", "message"),
    [
        (PYTHON, ["/venv/lib/flask/ctx.py:12", "/home/me/app.py:3"], "RuntimeError", "Working outside of request context."),
        (
            JAVASCRIPT,
            ["/src/shop/cart.js:12", "/src/app/main.mjs:3", "/./src/x.ts:9"],
            "TypeError",
            "Cannot read properties of undefined (reading 'foo')",
        ),
        (JAVA, ["com/shop/Cart.java:12", "com/shop/Main.kt:3"], "com.shop.NoCartException", "none"),
        (
            GO,
            ["/home/me/shop/cart.go:12", "/home/me/shop/main.go:5"],
            "",
            "runtime error: index out of range [3] with length 2",
        ),
        (RUST, ["./src/cart.rs:4", "./src/main.rs:9"], "", "no cart here"),
        (RUBY, ["/app/lib/cart.rb:12", "/app/main.rb:3"], "NoMethodError", "undefined method `x' for nil"),
        (PHP, ["/app/src/Cart.php:12", "/app/src/Shop.php:4"], r"Shop\CartException", "no cart"),
        (CSHARP, ["/src/Shop/Cart.cs:12", "C:/src/Program.cs:3"], "System.InvalidOperationException", "no cart"),
        (GDB, ["src/cart.c:12", "src/main.c:4"], "", ""),
        (ASAN, ["/src/cart.cc:12", "/src/main.cc:3"], "", "AddressSanitizer: heap-use-after-free on address 0x60"),
    ],
)
def test_frames_are_read_innermost_first_with_what_was_raised(text, places, exception, message):
    trace = read_trace(text)
    assert trace is not None
    assert [f"{frame.path}:{frame.line}" for frame in trace.frames] == places
    assert (trace.exception, trace.message) == (exception, message)


@pytest.mark.parametrize(
    ("text", "function"),
    [(GO, "main.(*Cart).Total"), (RUST, "shop::cart::total"), (GDB, "total"), (ASAN, "shop::total(int)"), (RUBY, "total")],
)
def test_the_innermost_function_is_named(text, function):
    assert read_trace(text).frames[0].function == function


def test_what_somebody_asks_about_a_trace_is_kept_and_nothing_else():
    assert read_trace(PYTHON).prose == "Why does this fail?"


@pytest.mark.parametrize("text", ["", "where is the session opened", "at noon", "src/app.py:12", "see File foo, line 3"])
def test_a_text_without_frames_is_no_trace(text):
    assert read_trace(text) is None


def test_an_error_without_a_trace_has_a_type_and_a_message():
    assert read_exception("why KeyError: 'name'") == ("KeyError", "'name'")
    assert read_exception("how are errors handled") == ("", "")


def test_a_printed_path_is_looked_for_by_its_longest_end_first():
    assert list(suffixes("/home/me/./app.py")) == ["home/me/app.py", "me/app.py", "app.py"]


@given(st.text() | st.text(st.sampled_from("at in File\"(),:#0x/.\n\t'line[]<>@")))
def test_any_text_can_be_read(text):
    trace = read_trace(text)
    assert trace is None or all(frame.line >= 0 and frame.path is not None for frame in trace.frames)


@pytest.mark.parametrize("piece", ["at a ", "#0 0x1 in ", "a.b(", "x" * 900 + ":", 'File "', "panicked at '"])
def test_a_long_text_is_read_in_good_time(piece):
    assert read_trace((piece * 400 + "\n") * 200) is None
