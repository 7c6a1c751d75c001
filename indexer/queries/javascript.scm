; inherits: ecmascript
(class_declaration name: (identifier) @name) @definition.class
(assignment_expression right: (class name: (identifier) @name)) @definition.class
(assignment_expression
  left: (member_expression property: (property_identifier) @name) right: (class)
  (#not-eq? @name "exports")) @definition.class
(field_definition
  property: (property_identifier) @name
  value: [(arrow_function) (function_expression)]) @definition.method
(field_definition property: (property_identifier) @name) @definition.field

(class_heritage (identifier) @reference.inherit)
(class_heritage (member_expression property: (property_identifier) @reference.inherit))
(jsx_opening_element name: (identifier) @reference.call)
(jsx_self_closing_element name: (identifier) @reference.call)
