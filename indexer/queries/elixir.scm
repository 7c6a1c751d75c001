; not called: def defp defmacro defmacrop defmodule defprotocol defimpl defguard defguardp defdelegate defstruct alias import require use doc moduledoc spec type typep impl if unless case cond with for fn quote unquote raise test describe assert typedoc callback opaque
(call
  target: (identifier) @_keyword
  (arguments . (alias) @name)
  (do_block)
  (#eq? @_keyword "defmodule")) @definition.module
(call
  target: (identifier) @_keyword
  (arguments . (alias) @name)
  (do_block)
  (#eq? @_keyword "defprotocol")) @definition.protocol
(call
  target: (identifier) @_keyword
  (arguments . (alias) @name)
  (do_block)
  (#eq? @_keyword "defimpl")) @scope.impl
(call
  target: (identifier) @_keyword
  (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: [(identifier) @name (call target: (identifier) @name)])])
  (#any-of? @_keyword "def" "defp" "defdelegate" "defn" "defnp")) @definition.function
(call
  target: (identifier) @_keyword
  (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: [(identifier) @name (call target: (identifier) @name)])])
  (#any-of? @_keyword "defmacro" "defmacrop" "defguard" "defguardp")) @definition.macro
(unary_operator
  operand: (call
    target: (identifier) @_keyword
    (arguments . (binary_operator left: [(identifier) @name (call target: (identifier) @name)]))
    (#any-of? @_keyword "type" "typep" "opaque"))) @definition.type
(unary_operator
  operand: (call
    target: (identifier) @_keyword
    (arguments . (binary_operator left: (call target: (identifier) @name)))
    (#any-of? @_keyword "callback" "macrocallback"))) @definition.callback
(call
  target: (identifier) @_keyword
  (arguments . (string) @name)
  (do_block)
  (#any-of? @_keyword "describe" "test" "property")) @scope.test
(unary_operator
  operand: (call
    target: (identifier) @_keyword
    (arguments (string) @docstring)
    (#eq? @_keyword "moduledoc")))
(unary_operator
  operand: (call target: (identifier) @_keyword)
  (#any-of? @_keyword "doc" "spec" "impl" "since" "deprecated" "typedoc")) @leading

(comment) @comment

; a specification mentions its function, and does not call it
(unary_operator
  operand: (call
    target: (identifier) @_keyword
    (arguments . (binary_operator left: (call target: (identifier) @reference.name)))
    (#eq? @_keyword "spec")))
(call
  target: (identifier) @_keyword
  (arguments . [(alias) @reference.import (dot right: (tuple (alias) @reference.import))])
  (#any-of? @_keyword "alias" "import" "require"))
(call
  target: (identifier) @_keyword
  (arguments . (alias) @reference.inherit)
  (#any-of? @_keyword "use" "defimpl"))
(call target: (identifier) @reference.bare)
(call target: (dot right: (identifier) @reference.call))
(call target: (dot left: (alias) @reference.type))
(struct (alias) @reference.type)
