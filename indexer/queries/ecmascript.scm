(function_declaration name: (identifier) @name) @definition.function
(generator_function_declaration name: (identifier) @name) @definition.function
(method_definition name: (property_identifier) @name) @definition.method
(method_definition name: (private_property_identifier) @name) @definition.method

(variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.function
(variable_declarator name: (identifier) @name value: (class)) @definition.class
(program (lexical_declaration (variable_declarator name: (identifier) @name) @definition.variable)
  (#not-match? @definition.variable "^[^=]*=\\s*(await\\s+)?(require|import)\\b"))
(program (variable_declaration (variable_declarator name: (identifier) @name) @definition.variable)
  (#not-match? @definition.variable "^[^=]*=\\s*(await\\s+)?(require|import)\\b"))
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @definition.variable))
(return_statement (function_expression name: (identifier) @name) @definition.function)

; exports.foo = function, this.foo = function, then any a.b.c = function
(assignment_expression
  left: (member_expression object: (identifier) @_exports property: (property_identifier) @name)
  right: [(arrow_function) (function_expression) (generator_function)]
  (#eq? @_exports "exports")) @definition.function
(assignment_expression
  left: (member_expression
    object: (member_expression object: (identifier) @_module property: (property_identifier) @_exports)
    property: (property_identifier) @name)
  right: [(arrow_function) (function_expression) (generator_function)]
  (#eq? @_module "module") (#eq? @_exports "exports")) @definition.function
(assignment_expression
  left: (member_expression object: (this) property: (property_identifier) @name)
  right: [(arrow_function) (function_expression) (generator_function)]) @definition.method
(assignment_expression
  left: (member_expression object: [(identifier) (member_expression)]) @name
  right: [(arrow_function) (function_expression) (generator_function)]
  (#not-match? @name "^(module\\.exports|exports\\.)")) @definition.function
(assignment_expression
  left: (identifier) @name
  right: [(arrow_function) (function_expression) (generator_function)]) @definition.function
(assignment_expression
  left: (member_expression object: (identifier) @_module property: (property_identifier) @_exports)
  right: (function_expression name: (identifier) @name)
  (#eq? @_module "module") (#eq? @_exports "exports")) @definition.function
(program (expression_statement (assignment_expression
  left: (member_expression object: (identifier) @_exports property: (property_identifier) @name)
  (#eq? @_exports "exports")) @definition.variable))

(object (pair
  key: (property_identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.function)
(object (pair
  key: (string (string_fragment) @name)
  value: [(arrow_function) (function_expression) (generator_function)]) @definition.function)

; describe("…", …), it.each(…)("…", …), test.only("…", …)
(call_expression
  function: [
    (identifier) @_test
    (member_expression object: (identifier) @_test)
    (call_expression function: (identifier) @_test)
    (call_expression function: (member_expression object: (identifier) @_test))
  ]
  arguments: (arguments
    . [(string) (template_string)] @name
    [(arrow_function) (function_expression)])
  (#any-of? @_test "describe" "it" "test" "suite" "context" "specify")) @scope.test

(comment) @comment
(decorator) @leading

(call_expression function: (identifier) @reference.call (#not-eq? @reference.call "require"))
(call_expression function: (member_expression property: (property_identifier) @reference.call))
(new_expression constructor: (identifier) @reference.call)
(new_expression constructor: (member_expression property: (property_identifier) @reference.call))
(import_specifier name: (identifier) @reference.import)
(import_clause (identifier) @reference.import)
(namespace_import (identifier) @reference.import)
(export_statement (export_clause (export_specifier name: (identifier) @reference.import)) source: (string))
(export_statement "*" source: (string (string_fragment) @reference.import))
