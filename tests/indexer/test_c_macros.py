import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.c_macros import without_macros
from indexer.parser import parse


def read(text: str) -> str:
    """What is left, with runs of blanks as one."""
    return " ".join(without_macros(text.encode()).decode().split())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("LIB_EXPORT int run(void);", "int run(void);"),
        ("LIB_API LIB_PURE const char* name(int x);", "const char* name(int x);"),
        ("LIB_DEPRECATED(since 2) std::vector<int>& all();", "std::vector<int>& all();"),
        ("  LIB_CONSTEXPR ~Pool();", "~Pool();"),
        ("static LIB_INLINE void go();", "static void go();"),
        ("LIB_EXPORT template <typename T> class A;", "template <typename T> class A;"),
        ("class LIB_API Pool : public Base {};", "class Pool : public Base {};"),
        ("struct ALIGNED(16) Pool final {};", "struct Pool final {};"),
        ("LRESULT CALLBACK Handle(int x);", "CALLBACK Handle(int x);"),
        ("if LIB_CONSTEXPR (small) go();", "if (small) go();"),
        ("LIB_BEGIN_DECLS\nint a;\nLIB_END_DECLS\n", "int a;"),
        ("struct a {\n  COMMON_FIELDS\n  int b;\n  PRIVATE_FIELDS\n};", "struct a { int b; };"),
        ("class A {\n  Q_OBJECT\n public:\n};", "class A { public: };"),
        ("#if HAS(<bit>) && \\\n  X > 2\nint a;\n#elif Y\n#endif", "#if 1 int a; #elif 1 #endif"),
        ('#ifdef __cplusplus\nextern "C" {\n#endif\nint a;\n#ifdef __cplusplus\n}\n#endif\n', "int a;"),
        ("enum e {\n#define X(a) a,\n  ALL_NAMES(X)\n#undef X\n  LAST_ONE\n};", "enum e { LAST_ONE };"),
    ],
)
def test_macros_that_no_grammar_can_place_are_blanked(text, left):
    assert read(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "DWORD size = 2;",
        "FILE *file;",
        "BOOL is_open(HANDLE file);",
        "HANDLE open(void) { return NULL; }",
        "enum e { FIRST_ONE,\n  LAST_ONE\n};",
        "int a = FIRST_FLAG |\n  LAST_FLAG\n  ;",
        "call(\n  FIRST_FLAG\n);",
        "#define LIB_EXPORT int run(void)",
        "#define TWO \\\n  LIB_EXPORT int run(void);",
        '"\\\nLIB_EXPORT int run(void);" ;',
        "/* \n LIB_EXPORT int run(void);\n */",
        "struct A b;",
        "struct LIST list;",
        "T x = y * Z;",
    ],
)
def test_what_only_looks_like_one_stays(text):
    assert without_macros(text.encode()) == text.encode()


@given(st.text(alphabet="AB_ab(){};,\n\\\"'/*# <:>1", max_size=200) | st.text(max_size=100))
def test_every_byte_keeps_its_place(text):
    data = text.encode("utf-8", "surrogatepass")
    left = without_macros(data)
    assert len(left) == len(data)
    for before, after in zip(data, left, strict=True):
        assert after in (before, ord(" "), ord("1"))
        assert (before == ord("\n")) == (after == ord("\n"))


@pytest.mark.parametrize(
    "hostile",
    [b"/* ", b'"\\"', b"A_B ", b"A_B\n", b"AAA(", b"a::", b"class AAA ", b"#if\\\n", b"AAA bbb<", b"\\\n", b" "],
)
def test_a_hostile_file_takes_no_longer_than_its_length(hostile):
    text = hostile * (300_000 // len(hostile))
    assert len(without_macros(text)) == len(text)  # quadratic, each of these would take minutes


def test_the_public_functions_of_a_header_are_found():
    header = """\
#ifndef LIB_H
#define LIB_H
#ifdef __cplusplus
extern "C" {
#endif

LIB_BEGIN_DECLS

typedef enum {
#define XX(name) LIB_##name,
  LIB_NAMES(XX)
#undef XX
  LIB_LAST
} lib_kind;

struct lib_handle {
  LIB_COMMON_FIELDS
  int fd;
};

/* Opens one. */
LIB_EXTERN struct lib_handle* lib_open(const char* path, lib_kind kind);
LIB_EXTERN int lib_close(struct lib_handle*);

#ifdef __cplusplus
}
#endif
#endif
"""
    found = parse("lib.h", header.encode())
    assert [f"{d.kind} {d.qualified_name} {d.start_line}" for d in found.definitions if d.kind != "constant"] == [
        "enum lib_kind 9",
        "struct lib_handle 16",
        "field lib_handle.fd 18",
        "prototype lib_open 21",
        "prototype lib_close 23",
    ]
