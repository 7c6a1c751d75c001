; definitions and references of php
