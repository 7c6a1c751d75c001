(struct_item name: (type_identifier) @name) @definition.struct
(enum_item name: (type_identifier) @name) @definition.enum
(union_item name: (type_identifier) @name) @definition.struct
(trait_item name: (type_identifier) @name) @definition.trait
(impl_item type: [
  (type_identifier) (generic_type) (scoped_type_identifier) (primitive_type) (tuple_type) (unit_type) (array_type)
  (dynamic_type) (pointer_type) (function_type) (macro_invocation)] @name) @scope.impl
(impl_item type: (reference_type type: (_) @name)) @scope.impl
(mod_item name: (identifier) @name body: (_)) @definition.module
(function_item name: (identifier) @name) @definition.function
(function_signature_item name: (identifier) @name) @definition.function
(macro_definition name: (identifier) @name) @definition.macro
(type_item name: (type_identifier) @name) @definition.type
(associated_type name: (type_identifier) @name) @definition.type
(const_item name: (identifier) @name) @definition.constant
(static_item name: (identifier) @name) @definition.constant
(enum_variant name: (identifier) @name) @definition.constant
; what a macro such as `cfg_feature! { … }` wraps
(token_tree "fn" . (identifier) @name @definition.function)
(token_tree "struct" . (identifier) @name @definition.struct)
(token_tree "enum" . (identifier) @name @definition.enum)
(token_tree "trait" . (identifier) @name @definition.trait)
(token_tree "mod" . (identifier) @name @definition.module)
(struct_item body: (field_declaration_list (field_declaration name: (field_identifier) @name) @definition.field))

(line_comment) @comment
(block_comment) @comment
(attribute_item) @leading

(call_expression function: (identifier) @reference.call)
(call_expression function: (field_expression field: (field_identifier) @reference.call))
(call_expression function: (scoped_identifier name: (identifier) @reference.call))
(call_expression function: (generic_function function: (identifier) @reference.call))
(call_expression function: (generic_function function: (scoped_identifier name: (identifier) @reference.call)))
(call_expression function: (generic_function function: (field_expression field: (field_identifier) @reference.call)))
(macro_invocation macro: (identifier) @reference.call)
(macro_invocation macro: (scoped_identifier name: (identifier) @reference.call))
(struct_expression name: (type_identifier) @reference.call)
(impl_item trait: (type_identifier) @reference.inherit)
(impl_item trait: (generic_type type: (type_identifier) @reference.inherit))
(impl_item trait: (scoped_type_identifier name: (type_identifier) @reference.inherit))
(trait_bounds (type_identifier) @reference.inherit)
(use_declaration argument: (identifier) @reference.import)
(use_declaration argument: (scoped_identifier name: (identifier) @reference.import))
(use_list (identifier) @reference.import)
(use_list (scoped_identifier name: (identifier) @reference.import))
(use_as_clause path: (scoped_identifier name: (identifier) @reference.import))
(use_as_clause path: (identifier) @reference.import)
(use_wildcard (scoped_identifier name: (identifier) @reference.import))
(use_wildcard (identifier) @reference.import)
(type_identifier) @reference.type
