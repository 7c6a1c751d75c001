(function name: (_) @name) @definition.function
(function (infix operator: (_) @name)) @definition.function
(declarations (bind name: (variable) @name) @definition.function)
(class_declarations (bind name: (variable) @name) @definition.function)
(instance_declarations (bind name: (variable) @name) @definition.function)
; of local names without arguments only those that take lines of their own
(local_binds (bind name: (variable) @name) @definition.function
  (#match? @definition.function "\n"))
(class name: (_) @name) @definition.class
(instance name: (_) @name) @scope.instance
(data_type name: (_) @name) @definition.type
(newtype name: (_) @name) @definition.type
(type_synomym name: (_) @name) @definition.type
(type_family name: (_) @name) @definition.type
(class_declarations (signature name: (variable) @name) @definition.function)
(data_constructor constructor: (_ name: (constructor) @name)) @definition.constant
(gadt_constructor name: (constructor) @name) @definition.constant
(newtype_constructor name: (constructor) @name) @definition.constant
(field name: (field_name (variable) @name)) @definition.field

(comment) @comment
(haddock) @comment
(declarations (signature) @leading)
(local_binds (signature) @leading)
(instance_declarations (signature) @leading)

(apply function: (variable) @reference.call)
(apply function: (qualified id: (variable) @reference.call))
(apply function: (constructor) @reference.call)
(infix left_operand: (variable) @reference.call)
(infix right_operand: (variable) @reference.call)
(infix operator: (infix_id (variable) @reference.call))
(instance name: (name) @reference.inherit)
(deriving classes: (_ (name) @reference.inherit))
(import_name variable: (variable) @reference.import)
(import_name type: (name) @reference.import)
(import module: (module (module_id) @reference.import .))
(name) @reference.type
