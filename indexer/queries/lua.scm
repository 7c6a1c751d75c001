(function_declaration name: (method_index_expression) @name) @definition.method
(function_declaration name: (_) @name) @definition.function
(assignment_statement
  (variable_list . name: (_) @name)
  (expression_list . value: (function_definition))) @definition.function
(chunk (assignment_statement (variable_list . name: (dot_index_expression) @name)) @definition.field)
(chunk
  (variable_declaration
    (assignment_statement (variable_list . name: (identifier) @name)) @definition.variable
    (#not-match? @definition.variable "^[^=]*=\\s*require\\b")))
(chunk (assignment_statement (variable_list . name: (identifier) @name)) @definition.variable)
(field name: (identifier) @name value: (function_definition)) @definition.function
(function_call
  name: (identifier) @_test
  arguments: (arguments . (string) @name (function_definition))
  (#any-of? @_test "describe" "it" "context")) @scope.test

(comment) @comment

(function_call
  name: (identifier) @_require
  arguments: (arguments (string content: (string_content) @reference.import))
  (#eq? @_require "require"))
(function_call name: (identifier) @reference.call (#not-eq? @reference.call "require"))
(function_call name: (dot_index_expression field: (identifier) @reference.call))
(function_call name: (method_index_expression method: (identifier) @reference.call))
