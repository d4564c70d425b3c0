"""How fast and how small agentflow's runs are, beside the same agent written by hand as a Temporal workflow.

Every arm does the same: a model with a script asks for one tool call a turn, the tool answers about 2 kB, and
after the last turn the model gives its answer. The model takes no time, so what is measured is the engine.

    naive           by hand; passes the whole list of messages to each model call, as everybody does first
    minimal         by hand; passes nothing that is in history already: the limit of what can be done so
    agentflow       this library with every guard on: rules, contracts, budget, transcript, search attributes
    agentflow_local the same, with the tool's reads as local activities
    minimal_local   minimal, with the tool as a local activity

A step is one model call or one tool call. All arms run in the same session of one dev server, in turn, for
several rounds; figures are medians over the rounds.

Besides: ``growth`` (history by turns), ``scale`` (worker processes), ``settings`` (of the worker, with a
slow model), ``memory`` (of a worker through very long runs) and ``loss`` (all that workers keep is
deleted within the runs).
"""
