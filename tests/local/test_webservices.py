from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nbhelpers.errors import ConflictError, ModelError, NotFoundError, UserErrorException, WebserviceException
from nbhelpers.local import Model, Webservice, Workspace
from nbhelpers.local.endpoints import service_port, set_service_port
from nbhelpers.local.models import model_file
from nbhelpers.local.rows import RowColumn
from nbhelpers.local.store import open_store
from nbhelpers.local.tokens import check_token

from .conftest import bank_like
from .deployed import deploy, features, mixed, register_model


def test_a_deployed_model_says_what_it_is_and_what_a_row_must_have(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    model = register_model(workspace, bank_like(), "y", iterations=1)
    capsys.readouterr()
    Model.deploy(workspace, "bank-1", [model], show_output=True)
    assert capsys.readouterr().out.splitlines()[1] == "Succeeded"
    service = Webservice(workspace, "bank-1")
    assert (service.name, service.state, service.description) == ("bank-1", "Healthy", None)
    assert [model.id for model in service.models] == ["bank:1"]
    assert service.columns == [
        RowColumn("age", "integer", []),
        RowColumn("job", "string", ["admin.", "student", "technician"]),
        RowColumn("duration", "number", []),
    ]
    assert (service.label, service.classes) == ("y", ["no", "yes"])
    assert list(service.example) == ["age", "job", "duration"]
    assert all(service.example[name] in bank_like()[name].tolist() for name in service.example)
    address = f"http://127.0.0.1:{service_port(workspace.store)}/api/v1/service/bank-1"
    assert service.scoring_uri == f"{address}/score"
    assert service.swagger_uri == f"{address}/swagger.json"
    assert "name=bank-1" in repr(service)
    assert f"scoring_uri={address}/score" in repr(service)


def test_categories_have_the_first_values_of_training_as_examples(workspace: Workspace) -> None:
    frame = features(mixed()).assign(y=mixed()["text"])
    examples = {column.name: column.examples for column in deploy(workspace, frame, "y", iterations=1).columns}
    assert examples.pop("job") == ["admin.", "student", "técnico"]
    assert set(map(len, examples.values())) == {0}


@pytest.mark.parametrize("name", ["ab", "Bank", "1bank", "bank_1", "bank-", "a" * 33, "bank\n", "", 5, None])
def test_names_that_no_service_can_have_are_refused(workspace: Workspace, name: Any) -> None:
    with pytest.raises(UserErrorException, match="cannot be the name of a web service"):
        Model.deploy(workspace, name, [])


@pytest.mark.parametrize("models", [[], None, "bank", ["bank"]])
def test_what_is_no_list_of_one_model_is_refused(workspace: Workspace, models: Any) -> None:
    with pytest.raises(UserErrorException, match="no list of one model"):
        Model.deploy(workspace, "bank", models)


def test_a_model_of_another_workspace_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace(open_store(tmp_path / "other"))
    model = register_model(other, bank_like(), "y", iterations=1)
    with pytest.raises(UserErrorException, match=r"bank:1 is registered in .*other, not in .*home"):
        Model.deploy(workspace, "bank", [model])


def test_there_is_nothing_to_configure(workspace: Workspace) -> None:
    with pytest.raises(UserErrorException, match="no inference_config, deployment_config"):
        Model.deploy(workspace, "bank", [], {"entry_script": "score.py"}, {"cpu_cores": 1})  # type: ignore[arg-type]


def test_a_taken_name_is_refused_unless_it_is_to_be_overwritten(workspace: Workspace) -> None:
    first = register_model(workspace, bank_like(), "y", iterations=1)
    second = register_model(workspace, bank_like()[["age", "duration", "y"]], "y", iterations=1)
    Model.deploy(workspace, "bank", [first])
    with pytest.raises(ConflictError, match="Service bank with the same name already exists"):
        Model.deploy(workspace, "bank", [second])
    assert Webservice(workspace, "bank").models[0].version == 1
    service = Model.deploy(workspace, "bank", [second], overwrite=True)
    assert service.models[0].version == 2
    assert [column.name for column in service.columns] == ["age", "duration"]


def test_a_service_is_given_another_model_or_description(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)
    service.update(description="of the tests")
    second = register_model(workspace, bank_like()[["age", "duration", "y"]], "y", iterations=1)
    service.update(models=[second])
    for seen in (service, Webservice(workspace, "bank")):
        assert (seen.description, seen.models[0].version, list(seen.example)) == (
            "of the tests",
            2,
            ["age", "duration"],
        )


def test_a_model_that_cannot_be_loaded_is_not_deployed(workspace: Workspace) -> None:
    model = register_model(workspace, bank_like(), "y", iterations=1)
    model_file(workspace.store, model.run_id).write_bytes(b"changed")
    with pytest.raises(ModelError, match="no model file"):
        Model.deploy(workspace, "bank", [model])
    assert Webservice.list(workspace) == []


def test_a_model_that_was_deleted_is_not_deployed(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)
    deleted = register_model(workspace, bank_like(), "y", iterations=1)
    deleted.delete()
    with pytest.raises(NotFoundError, match=r"bank:2 is no longer registered.*\n.*register_model"):
        Model.deploy(workspace, "other", [deleted])
    with pytest.raises(NotFoundError, match="bank:2 is no longer registered"):
        service.update(models=[deleted])
    assert [found.models[0].id for found in Webservice.list(workspace)] == ["bank:1"]


def test_services_are_listed_by_name_and_deleted(workspace: Workspace) -> None:
    model = register_model(workspace, bank_like(), "y", iterations=1)
    for name in ("second", "first"):
        Model.deploy(workspace, name, [model])
    assert [service.name for service in Webservice.list(workspace)] == ["first", "second"]
    service = Webservice(workspace, "first")
    service.delete()
    assert [service.name for service in Webservice.list(workspace)] == ["second"]
    with pytest.raises(WebserviceException, match="with name first not found"):
        service.update(description="gone")


def test_a_service_that_is_deleted_while_they_are_listed_is_left_out(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(workspace, bank_like(), "y", iterations=1)
    read = Webservice._read

    def delete_and_read(service: Webservice) -> None:
        service.delete()
        read(service)

    monkeypatch.setattr(Webservice, "_read", delete_and_read)
    assert Webservice.list(workspace) == []


def test_an_unknown_service_is_refused_with_the_nearest_name(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match=r"with name bank not found.*\n.*Model\.deploy") as caught:
        Webservice(workspace, "bank")
    assert isinstance(caught.value, WebserviceException)
    deploy(workspace, bank_like(), "y", iterations=1)
    with pytest.raises(WebserviceException, match=r"with name banks not found.*\n.*Use 'bank'"):
        Webservice(workspace, "banks")
    with pytest.raises(WebserviceException, match="not found"):
        Webservice(workspace, "\ud800")


def test_a_token_of_a_service_is_for_scoring_and_is_kept_for_an_hour(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)
    token, refresh = service.get_token()
    assert check_token(workspace.store, token, "score").scopes == ("score",)
    assert timedelta(minutes=45) < refresh - datetime.now(UTC) < timedelta(hours=1)
    assert service.get_token() == (token, refresh)


def test_a_service_that_is_not_running_says_how_to_start_it(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)
    with pytest.raises(WebserviceException, match=r"does not answer at http.*\n.*nbhelpers serve.*nbhelpers\.serving"):
        service.run(json.dumps({"data": [service.example]}))


def test_another_program_on_the_port_is_no_service(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a page")

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.serve_forever).start()
        set_service_port(workspace.store, other.server_port)
        try:
            with pytest.raises(WebserviceException, match="answered 200: a page"):
                service.run(json.dumps({"data": [service.example]}))
        finally:
            other.shutdown()


def test_rows_that_are_no_json_text_are_refused(workspace: Workspace) -> None:
    service = deploy(workspace, bank_like(), "y", iterations=1)
    with pytest.raises(UserErrorException, match=r"input_data='.ud800' is not a text"):
        service.run("\ud800")
    with pytest.raises(UserErrorException, match=r"of type dict, not JSON.*\n.*json\.dumps"):
        service.run({"data": [service.example]})  # type: ignore[arg-type]
