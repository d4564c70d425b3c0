# Written by `agentflow tools import`: import again to change it, and say what is yours with adapted(...).
# ruff: noqa
# fmt: off
"""Tools of notes."""

from agentflow.imported import ImportedTool

add_note = ImportedTool.of({
    'name': 'add_note',
    'description': 'Adds a note to the file',
    'input_schema': {
        'type': 'object',
        'properties': {
            'text': {
                'type': 'string',
            },
        },
        'required': ['text'],
        'additionalProperties': False,
    },
    'output_schema': {
        'type': 'string',
    },
    'effect': 'write',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'notes',
        'digest': 'ba03d4ed5a441213ab87b6f97fe1f3b52207b325dad2dfc07a9e9882098baabd',
        'kind': 'mcp',
        'operation': 'add_note',
    },
})

read_notes = ImportedTool.of({
    'name': 'read_notes',
    'description': 'Reads all notes',
    'input_schema': {
        'type': 'object',
        'properties': {},
        'additionalProperties': False,
    },
    'output_schema': {
        'additionalProperties': {
            'items': {
                'type': 'string',
            },
            'type': 'array',
        },
        'type': 'object',
    },
    'effect': 'read',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'notes',
        'digest': 'e15007a46521cbbb3b85672dcc2e8a97e885ff867cb4b38da76cb2e6f6e3ebab',
        'kind': 'mcp',
        'operation': 'read_notes',
    },
    'effect_is_claimed': True,
})
