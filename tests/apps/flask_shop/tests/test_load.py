import load
import pytest
from shop import demo
from shop.extensions import db


def test_the_load_script_gets_good_answers_only(shop, capsys):
    with shop.app.app_context():
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())
        demo.fill(users=10, products=20, orders=20)
    assert load.main(["40", "--seed", "3"]) == 0
    assert "40 requests" in capsys.readouterr().out


def test_the_load_script_needs_its_own_data(shop):
    with pytest.raises(SystemExit, match="demonstration data"):
        load.main(["1"])
