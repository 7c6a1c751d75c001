; not called: [ { } . : @test source echo printf cd return exit shift set test
(function_definition name: (word) @name) @definition.function
(program (variable_assignment name: (variable_name) @name) @definition.variable)
(program (declaration_command (variable_assignment name: (variable_name) @name)) @definition.variable)

(comment) @comment

(command
  name: (command_name (word) @_source)
  argument: (word) @reference.import
  (#any-of? @_source "source" "." "load"))
(command name: (command_name (word) @reference.bare))
