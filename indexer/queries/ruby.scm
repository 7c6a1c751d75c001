; not called: require require_relative include extend attr_accessor attr_reader attr_writer private public
(module name: (_) @name) @definition.module
(class name: (_) @name) @definition.class
(program (method name: (_) @name) @definition.function)
(method name: (_) @name) @definition.method
(singleton_method name: (_) @name) @definition.method
(alias name: (identifier) @name) @definition.method
(assignment left: (constant) @name) @definition.constant
(call
  method: (identifier) @_call
  arguments: (argument_list . (simple_symbol) @name)
  (#any-of? @_call "define_method" "alias_method" "define_singleton_method")) @definition.method
(call
  method: (identifier) @_call
  arguments: (argument_list (simple_symbol) @name @definition.property)
  (#any-of? @_call "attr_accessor" "attr_reader" "attr_writer" "cattr_accessor" "mattr_accessor" "class_attribute"))
(call
  method: (identifier) @_test
  arguments: (argument_list . [(string) (constant) (scope_resolution)] @name)
  block: (_)
  (#any-of? @_test "describe" "context" "it" "specify" "feature" "scenario" "test" "should")) @scope.test

(comment) @comment

(call
  method: (identifier) @_call
  arguments: (argument_list [(constant) @reference.inherit (scope_resolution name: (constant) @reference.inherit)])
  (#any-of? @_call "include" "extend" "prepend"))
(call
  method: (identifier) @_call
  arguments: (argument_list . (string (string_content) @reference.import))
  (#any-of? @_call "require" "require_relative" "autoload"))
(call receiver: (constant) @reference.type)
(call method: (identifier) @reference.bare)
(superclass (constant) @reference.inherit)
(superclass (scope_resolution name: (constant) @reference.inherit))
(scope_resolution name: (constant) @reference.type)
