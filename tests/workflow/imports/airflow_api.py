# Written by `agentflow tools import`: import again to change it, and say what is yours with adapted(...).
# ruff: noqa
# fmt: off
"""Tools of Airflow API."""

from agentflow.imported import ImportedTool

trigger_dag_run = ImportedTool.of({
    'name': 'trigger_dag_run',
    'description': 'Trigger Dag Run\n\nTrigger a Dag.',
    'input_schema': {
        'type': 'object',
        'properties': {
            'dag_id': {},
            'dag_run_id': {
                'anyOf': [
                    {
                        'type': 'string',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'data_interval_start': {
                'anyOf': [
                    {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'data_interval_end': {
                'anyOf': [
                    {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'logical_date': {
                'anyOf': [
                    {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'run_after': {
                'anyOf': [
                    {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'conf': {
                'anyOf': [
                    {
                        'additionalProperties': True,
                        'type': 'object',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'note': {
                'anyOf': [
                    {
                        'type': 'string',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
            'partition_key': {
                'anyOf': [
                    {
                        'type': 'string',
                    },
                    {
                        'type': 'null',
                    },
                ],
            },
        },
        'required': ['dag_id', 'logical_date'],
        'additionalProperties': False,
    },
    'output_schema': {
        '$ref': '#/$defs/DAGRunResponse',
        '$defs': {
            'DAGRunResponse': {
                'properties': {
                    'dag_run_id': {
                        'type': 'string',
                    },
                    'dag_id': {
                        'type': 'string',
                    },
                    'logical_date': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'queued_at': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'start_date': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'end_date': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'duration': {
                        'anyOf': [
                            {
                                'type': 'number',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'data_interval_start': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'data_interval_end': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'run_after': {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    'last_scheduling_decision': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'run_type': {
                        '$ref': '#/$defs/DagRunType',
                    },
                    'state': {
                        '$ref': '#/$defs/DagRunState',
                    },
                    'triggered_by': {
                        'anyOf': [
                            {
                                '$ref': '#/$defs/DagRunTriggeredByType',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'triggering_user_name': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'conf': {
                        'anyOf': [
                            {
                                'additionalProperties': True,
                                'type': 'object',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'note': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'dag_versions': {
                        'items': {
                            '$ref': '#/$defs/DagVersionResponse',
                        },
                        'type': 'array',
                    },
                    'bundle_version': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'dag_display_name': {
                        'type': 'string',
                    },
                    'partition_key': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'partition_date': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                },
                'type': 'object',
                'required': ['dag_run_id', 'dag_id', 'logical_date', 'queued_at', 'start_date', 'end_date', 'duration', 'data_interval_start', 'data_interval_end', 'run_after', 'last_scheduling_decision', 'run_type', 'state', 'triggered_by', 'triggering_user_name', 'conf', 'note', 'dag_versions', 'bundle_version', 'dag_display_name', 'partition_key', 'partition_date'],
                'description': 'Dag Run serializer for responses.',
            },
            'DagRunState': {
                'type': 'string',
                'enum': ['queued', 'running', 'success', 'failed'],
                'description': 'All possible states that a DagRun can be in.\n\nThese are "shared" with TaskInstanceState in some parts of the code,\nso please ensure that their values always match the ones with the\nsame name in TaskInstanceState.',
            },
            'DagRunTriggeredByType': {
                'type': 'string',
                'enum': ['cli', 'operator', 'rest_api', 'ui', 'test', 'timetable', 'asset', 'backfill'],
                'description': 'Class with TriggeredBy types for DagRun.',
            },
            'DagRunType': {
                'type': 'string',
                'enum': ['backfill', 'scheduled', 'manual', 'operator_triggered', 'asset_triggered', 'asset_materialization'],
                'description': 'Class with DagRun types.',
            },
            'DagVersionResponse': {
                'properties': {
                    'id': {
                        'type': 'string',
                        'format': 'uuid',
                    },
                    'version_number': {
                        'type': 'integer',
                    },
                    'dag_id': {
                        'type': 'string',
                    },
                    'bundle_name': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'bundle_version': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'created_at': {
                        'type': 'string',
                        'format': 'date-time',
                    },
                    'dag_display_name': {
                        'type': 'string',
                    },
                    'bundle_url': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                },
                'type': 'object',
                'required': ['id', 'version_number', 'dag_id', 'bundle_name', 'bundle_version', 'created_at', 'dag_display_name', 'bundle_url'],
                'description': 'Dag Version serializer for responses.',
            },
        },
    },
    'effect': 'write',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'Airflow API',
        'digest': '3e559c0b628955a29865942af291c369d99199d758c789bc381f897f461999f3',
        'kind': 'openapi',
        'version': '2',
        'method': 'POST',
        'path': '/api/v2/dags/{dag_id}/dagRuns',
        'arguments': [
            {
                'argument': 'dag_id',
                'name': 'dag_id',
                'place': 'path',
                'style': 'simple',
                'explode': False,
            },
            {
                'argument': 'dag_run_id',
                'name': 'dag_run_id',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'data_interval_start',
                'name': 'data_interval_start',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'data_interval_end',
                'name': 'data_interval_end',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'logical_date',
                'name': 'logical_date',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'run_after',
                'name': 'run_after',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'conf',
                'name': 'conf',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'note',
                'name': 'note',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
            {
                'argument': 'partition_key',
                'name': 'partition_key',
                'place': 'body',
                'style': 'form',
                'explode': True,
            },
        ],
        'media_type': 'application/json',
        'auth': [
            [
                {
                    'scheme': 'OAuth2PasswordBearer',
                    'kind': 'bearer',
                    'name': '',
                },
            ],
            [
                {
                    'scheme': 'HTTPBearer',
                    'kind': 'bearer',
                    'name': '',
                },
            ],
        ],
    },
})

get_dag = ImportedTool.of({
    'name': 'get_dag',
    'description': 'Get Dag\n\nGet basic information about a Dag.',
    'input_schema': {
        'type': 'object',
        'properties': {
            'dag_id': {
                'type': 'string',
            },
        },
        'required': ['dag_id'],
        'additionalProperties': False,
    },
    'output_schema': {
        '$ref': '#/$defs/DAGResponse',
        '$defs': {
            'DAGResponse': {
                'properties': {
                    'dag_id': {
                        'type': 'string',
                    },
                    'dag_display_name': {
                        'type': 'string',
                    },
                    'is_paused': {
                        'type': 'boolean',
                    },
                    'is_stale': {
                        'type': 'boolean',
                    },
                    'last_parsed_time': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'last_parse_duration': {
                        'anyOf': [
                            {
                                'type': 'number',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'last_expired': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'bundle_name': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'bundle_version': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'relative_fileloc': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'fileloc': {
                        'type': 'string',
                    },
                    'description': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'timetable_summary': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'timetable_description': {
                        'anyOf': [
                            {
                                'type': 'string',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'timetable_partitioned': {
                        'type': 'boolean',
                    },
                    'timetable_periodic': {
                        'type': 'boolean',
                    },
                    'tags': {
                        'items': {
                            '$ref': '#/$defs/DagTagResponse',
                        },
                        'type': 'array',
                    },
                    'max_active_tasks': {
                        'type': 'integer',
                    },
                    'max_active_runs': {
                        'anyOf': [
                            {
                                'type': 'integer',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'max_consecutive_failed_dag_runs': {
                        'type': 'integer',
                    },
                    'has_task_concurrency_limits': {
                        'type': 'boolean',
                    },
                    'has_import_errors': {
                        'type': 'boolean',
                    },
                    'next_dagrun_logical_date': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'next_dagrun_data_interval_start': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'next_dagrun_data_interval_end': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'next_dagrun_run_after': {
                        'anyOf': [
                            {
                                'type': 'string',
                                'format': 'date-time',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'allowed_run_types': {
                        'anyOf': [
                            {
                                'items': {
                                    '$ref': '#/$defs/DagRunType',
                                },
                                'type': 'array',
                            },
                            {
                                'type': 'null',
                            },
                        ],
                    },
                    'owners': {
                        'items': {
                            'type': 'string',
                        },
                        'type': 'array',
                    },
                    'is_backfillable': {
                        'type': 'boolean',
                        'description': "Whether this Dag's schedule supports backfilling.",
                    },
                    'file_token': {
                        'type': 'string',
                        'description': 'Return file token.',
                    },
                },
                'type': 'object',
                'required': ['dag_id', 'dag_display_name', 'is_paused', 'is_stale', 'last_parsed_time', 'last_parse_duration', 'last_expired', 'bundle_name', 'bundle_version', 'relative_fileloc', 'fileloc', 'description', 'timetable_summary', 'timetable_description', 'timetable_partitioned', 'timetable_periodic', 'tags', 'max_active_tasks', 'max_active_runs', 'max_consecutive_failed_dag_runs', 'has_task_concurrency_limits', 'has_import_errors', 'next_dagrun_logical_date', 'next_dagrun_data_interval_start', 'next_dagrun_data_interval_end', 'next_dagrun_run_after', 'allowed_run_types', 'owners', 'is_backfillable', 'file_token'],
                'description': 'Dag serializer for responses.',
            },
            'DagRunType': {
                'type': 'string',
                'enum': ['backfill', 'scheduled', 'manual', 'operator_triggered', 'asset_triggered', 'asset_materialization'],
                'description': 'Class with DagRun types.',
            },
            'DagTagResponse': {
                'properties': {
                    'name': {
                        'type': 'string',
                    },
                    'dag_id': {
                        'type': 'string',
                    },
                    'dag_display_name': {
                        'type': 'string',
                    },
                },
                'type': 'object',
                'required': ['name', 'dag_id', 'dag_display_name'],
                'description': 'Dag Tag serializer for responses.',
            },
        },
    },
    'effect': 'read',
    'scopes': [],
    'recovery': 'ask',
    'source': {
        'server': 'Airflow API',
        'digest': '111be7a7baf9c0438095c9512a3cefb9b8b45090ab4db79d9adbe7a2f2dca8c0',
        'kind': 'openapi',
        'version': '2',
        'method': 'GET',
        'path': '/api/v2/dags/{dag_id}',
        'arguments': [
            {
                'argument': 'dag_id',
                'name': 'dag_id',
                'place': 'path',
                'style': 'simple',
                'explode': False,
            },
        ],
        'auth': [
            [
                {
                    'scheme': 'OAuth2PasswordBearer',
                    'kind': 'bearer',
                    'name': '',
                },
            ],
            [
                {
                    'scheme': 'HTTPBearer',
                    'kind': 'bearer',
                    'name': '',
                },
            ],
        ],
    },
})
