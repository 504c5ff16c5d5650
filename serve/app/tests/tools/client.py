"""Works with projects and tasks by nothing but generated code."""

import os
import ssl
import uuid

from generated import AuthenticatedClient
from generated.api.projects import create_project, delete_project, list_projects, show_project, update_project
from generated.api.tasks import create_task, delete_task, list_tasks, restore_task, show_task, update_task
from generated.models import NewProject, NewTask, Problem, ProjectChange, TaskChange, TaskState

client = AuthenticatedClient(
    base_url=os.environ["URL"],
    token=os.environ["TOKEN"],
    verify_ssl=ssl.create_default_context(cafile=os.environ["AUTHORITY"]),
)


def done(answer, status):
    assert answer.status_code == status, (answer.status_code, answer.content)
    return answer.parsed


def key():
    return str(uuid.uuid4())


# Made, once however often.
once = key()
first = create_project.sync_detailed(client=client, body=NewProject(name="Garden"), idempotency_key=once)
project = done(first, 201)
again = create_project.sync_detailed(client=client, body=NewProject(name="Garden"), idempotency_key=once)
assert again.content == first.content and again.headers["idempotency-replayed"] == "true", again
task = done(
    create_task.sync_detailed(client=client, body=NewTask(title="Water", project_id=project.id), idempotency_key=key()), 201
)
assert (task.title, task.state, task.project_id) == ("Water", TaskState.OPEN, project.id), task

# Read.
shown = show_project.sync_detailed(client=client, id=project.id)
assert done(shown, 200) == project
assert show_project.sync_detailed(client=client, id=project.id, if_none_match=shown.headers["etag"]).status_code == 304
read = show_task.sync_detailed(client=client, id=task.id)
assert done(read, 200) == task

# Listed.
assert [each.id for each in done(list_projects.sync_detailed(client=client, limit=10), 200).items] == [project.id]
assert [each.id for each in done(list_tasks.sync_detailed(client=client, state=TaskState.OPEN), 200).items] == [task.id]
assert done(list_tasks.sync_detailed(client=client, state=TaskState.DONE), 200).items == []

# Changed, as it was seen.
change = ProjectChange(description="Everything green.")
done(update_project.sync_detailed(client=client, id=project.id, body=change, if_match=shown.headers["etag"]), 200)
changed = update_task.sync_detailed(
    client=client, id=task.id, body=TaskChange(state=TaskState.DONE), if_match=read.headers["etag"], idempotency_key=key()
)
assert done(changed, 200).state == TaskState.DONE
stale = update_task.sync_detailed(client=client, id=task.id, body=TaskChange(title="Late"), if_match=read.headers["etag"])
problem = done(stale, 412)
assert isinstance(problem, Problem) and problem.code == "precondition-failed", problem

# Deleted, restored, and deleted again with its project.
done(delete_task.sync_detailed(client=client, id=task.id, if_match=changed.headers["etag"]), 204)
assert done(show_task.sync_detailed(client=client, id=task.id), 404).code == "not-found"
assert [each.id for each in done(list_tasks.sync_detailed(client=client, deleted=True), 200).items] == [task.id]
restored = restore_task.sync_detailed(client=client, id=task.id)
assert done(restored, 200).deleted_at is None
done(delete_task.sync_detailed(client=client, id=task.id, if_match=restored.headers["etag"]), 204)
done(delete_project.sync_detailed(client=client, id=project.id, if_match="*"), 204)
assert done(list_projects.sync_detailed(client=client), 200).items == []
print("generated code made, read, listed, changed, deleted and restored a project and a task")
