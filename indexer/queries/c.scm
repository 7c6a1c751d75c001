; TEST(suite, name) {…}, then MACRO(name) {…}
(function_definition
  declarator: (function_declarator declarator: (identifier) @_macro parameters: (parameter_list) @name)
  (#match? @_macro "^[A-Z0-9_]*TEST[A-Z0-9_]*$")) @scope.test
(function_definition
  type: (type_identifier) @_macro
  declarator: (parenthesized_declarator (identifier) @name)
  (#match? @_macro "^[A-Z][A-Z0-9_]+$")) @definition.function
(function_definition declarator: (function_declarator declarator: (identifier) @name)
  (#not-match? @name "^([A-Z0-9_]*TEST[A-Z0-9_]*|if|while|for|switch)$")) @definition.function
(function_definition declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.function
(function_definition declarator: (_ (_ (function_declarator declarator: (identifier) @name)))) @definition.function
(struct_specifier name: (type_identifier) @name body: (_)) @definition.struct
(union_specifier name: (type_identifier) @name body: (_)) @definition.struct
(enum_specifier name: (type_identifier) @name body: (_)) @definition.enum
; a struct with a name of its own is not inside of its typedef
(type_definition type: (struct_specifier name: (_) body: (_)) @definition.struct declarator: (type_identifier) @name)
(type_definition type: (union_specifier name: (_) body: (_)) @definition.struct declarator: (type_identifier) @name)
(type_definition type: (enum_specifier name: (_) body: (_)) @definition.enum declarator: (type_identifier) @name)
(type_definition type: (struct_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (union_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.struct
(type_definition type: (enum_specifier !name body: (_)) declarator: (type_identifier) @name) @definition.enum
(type_definition type: [
  (type_identifier) (primitive_type) (sized_type_specifier)
  (struct_specifier !body) (union_specifier !body) (enum_specifier !body)] declarator: (type_identifier) @name) @definition.type
(type_definition declarator: (pointer_declarator declarator: (type_identifier) @name)) @definition.type
(type_definition
  declarator: (function_declarator
    declarator: (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name)))) @definition.type
(enumerator name: (identifier) @name) @definition.constant
(preproc_function_def name: (identifier) @name) @definition.macro
(preproc_def name: (identifier) @name value: (_)) @definition.constant
(translation_unit (declaration declarator: (init_declarator declarator: (identifier) @name)) @definition.variable)
(translation_unit
  (declaration declarator: (init_declarator declarator: (array_declarator declarator: (identifier) @name))) @definition.variable)
[
  (translation_unit (declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype)
  (preproc_ifdef (declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype)
  (preproc_if (declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype)
  (preproc_else (declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype)
  (declaration_list (declaration declarator: (function_declarator declarator: (identifier) @name)) @definition.prototype)
]
[
  (translation_unit (declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.prototype)
  (preproc_ifdef (declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.prototype)
  (preproc_if (declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.prototype)
  (preproc_else (declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.prototype)
  (declaration_list (declaration declarator: (_ (function_declarator declarator: (identifier) @name))) @definition.prototype)
]
(struct_specifier body: (field_declaration_list (field_declaration declarator: (field_identifier) @name) @definition.field))
(struct_specifier
  body: (field_declaration_list
    (field_declaration declarator: (pointer_declarator declarator: (field_identifier) @name)) @definition.field))

(comment) @comment

(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression field: (field_identifier) @reference.call))
(preproc_include path: (string_literal (string_content) @reference.import))
(preproc_include path: (system_lib_string) @reference.import)
(type_identifier) @reference.type
