; inherits: c
(namespace_definition name: (_) @name) @scope.namespace
(class_specifier name: (_) @name body: (_)) @definition.class
(template_declaration (class_specifier name: (_) @name body: (_))) @definition.class
(template_declaration (struct_specifier name: (_) @name body: (_))) @definition.struct
(struct_specifier name: (template_type) @name body: (_)) @definition.struct
(function_definition
  declarator: (function_declarator
    declarator: [
      (field_identifier) (qualified_identifier) (destructor_name) (operator_name) (template_function)
    ] @name)) @definition.function
(function_definition
  declarator: (_
    (function_declarator
      declarator: [(field_identifier) (qualified_identifier) (operator_name) (template_function)] @name))) @definition.function
(template_declaration
  (function_definition
    declarator: (function_declarator
      declarator: [
        (identifier) (field_identifier) (qualified_identifier) (destructor_name) (operator_name) (template_function)
      ] @name))) @definition.function
(template_declaration
  (function_definition
    declarator: (_
      (function_declarator
        declarator: [
          (identifier) (field_identifier) (qualified_identifier) (operator_name) (template_function)
        ] @name)))) @definition.function
(field_declaration
  declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name)) @definition.prototype
(field_declaration
  declarator: (_ (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @definition.prototype
(field_declaration_list
  (declaration declarator: (function_declarator declarator: [(identifier) (destructor_name)] @name)) @definition.prototype)
(class_specifier body: (field_declaration_list (field_declaration declarator: (field_identifier) @name) @definition.field))
(declaration_list (declaration declarator: (init_declarator declarator: (identifier) @name)) @definition.variable)
(alias_declaration name: (type_identifier) @name) @definition.type
(concept_definition name: (identifier) @name) @definition.type

(base_class_clause (type_identifier) @reference.inherit)
(base_class_clause (template_type name: (type_identifier) @reference.inherit))
(base_class_clause (qualified_identifier name: (type_identifier) @reference.inherit))
(call_expression function: (qualified_identifier name: (identifier) @reference.call))
(call_expression function: (qualified_identifier name: (template_function name: (identifier) @reference.call)))
(call_expression function: (qualified_identifier name: (qualified_identifier name: (identifier) @reference.call)))
(call_expression function: (template_function name: (identifier) @reference.call))
(call_expression
  function: (field_expression field: (template_method name: (field_identifier) @reference.call)))
(new_expression type: (type_identifier) @reference.call)
(using_declaration (qualified_identifier name: (identifier) @reference.import))
