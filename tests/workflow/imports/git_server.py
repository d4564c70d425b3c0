# Written by `agentflow tools import`: import again to change it, and say what is yours with adapted(...).
# ruff: noqa
# fmt: off
"""Tools of mcp-git."""

from agentflow.imported import ImportedTool

git_commit = ImportedTool.of({
    'name': 'git_commit',
    'description': 'Records changes to the repository',
    'input_schema': {
        'type': 'object',
        'properties': {
            'repo_path': {
                'type': 'string',
            },
            'message': {
                'type': 'string',
            },
        },
        'required': ['repo_path', 'message'],
        'additionalProperties': False,
    },
    'output_schema': {
        'type': 'string',
    },
    'effect': 'write',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'mcp-git',
        'digest': '16536c3e7c7246e7354eda1f8346cd933f0fdf73dec6a4bad29d251aa6b0d002',
        'kind': 'mcp',
        'operation': 'git_commit',
    },
})

git_log = ImportedTool.of({
    'name': 'git_log',
    'description': 'Shows the commit logs',
    'input_schema': {
        'type': 'object',
        'properties': {
            'repo_path': {
                'type': 'string',
            },
            'max_count': {
                'default': 10,
                'type': 'integer',
            },
            'start_timestamp': {
                'anyOf': [
                    {
                        'type': 'string',
                    },
                    {
                        'type': 'null',
                    },
                ],
                'default': None,
                'description': "Start timestamp for filtering commits. Accepts: ISO 8601 format (e.g., '2024-01-15T14:30:25'), relative dates (e.g., '2 weeks ago', 'yesterday'), or absolute dates (e.g., '2024-01-15', 'Jan 15 2024')",
            },
            'end_timestamp': {
                'anyOf': [
                    {
                        'type': 'string',
                    },
                    {
                        'type': 'null',
                    },
                ],
                'default': None,
                'description': "End timestamp for filtering commits. Accepts: ISO 8601 format (e.g., '2024-01-15T14:30:25'), relative dates (e.g., '2 weeks ago', 'yesterday'), or absolute dates (e.g., '2024-01-15', 'Jan 15 2024')",
            },
        },
        'required': ['repo_path'],
        'additionalProperties': False,
    },
    'output_schema': {
        'type': 'string',
    },
    'effect': 'read',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'mcp-git',
        'digest': 'bf716f6ee8b55db70f1deb070dcfab4635ecb940b49480cb4394ebede6361d5b',
        'kind': 'mcp',
        'operation': 'git_log',
    },
    'effect_is_claimed': True,
})
