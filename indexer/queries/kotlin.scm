(class_declaration "interface" (type_identifier) @name) @definition.interface
(class_declaration "enum" (type_identifier) @name) @definition.enum
(class_declaration (type_identifier) @name) @definition.class
(object_declaration (type_identifier) @name) @definition.object
(companion_object (type_identifier) @name) @definition.object
(type_alias . (type_identifier) @name) @definition.type
(type_alias (modifiers) . (type_identifier) @name) @definition.type
(function_declaration
  receiver: (receiver_type (user_type (type_identifier) @receiver .))
  (simple_identifier) @name) @definition.function
(function_declaration
  receiver: (receiver_type (user_type (type_identifier) @receiver . (type_arguments) .))
  (simple_identifier) @name) @definition.function
(function_declaration (simple_identifier) @name) @definition.function
(property_declaration
  receiver: (receiver_type (user_type (type_identifier) @receiver .))
  (variable_declaration (simple_identifier) @name)) @definition.property
(source_file (property_declaration (variable_declaration (simple_identifier) @name)) @definition.variable)
(class_body (property_declaration (variable_declaration (simple_identifier) @name)) @definition.property)
(class_parameter (binding_pattern_kind) (simple_identifier) @name) @definition.property
(enum_entry (simple_identifier) @name) @definition.constant

(line_comment) @comment
(multiline_comment) @comment

(call_expression . (simple_identifier) @reference.call)
(call_expression . (navigation_expression (navigation_suffix (simple_identifier) @reference.call)))
(constructor_invocation (user_type (type_identifier) @reference.call))
(annotation (user_type (type_identifier) @reference.call))
(delegation_specifier (user_type (type_identifier) @reference.inherit))
(delegation_specifier (constructor_invocation (user_type (type_identifier) @reference.inherit)))
(import_header (identifier (simple_identifier) @reference.import .))
(user_type (type_identifier) @reference.type)
