"""Short conversations as steps of `Conversation`; one named after a detector holds its incident."""

from __future__ import annotations

from typing import Any

SHOP = "/home/dev/shop"
PRICES = "def show(product_id):\n    page = cache.get(key)\n    return page\n\n\ndef sold(product):\n    cache.delete(key)\n"

TALKS: dict[str, list[tuple[Any, ...]]] = {
    "wiped_redis": [
        ("record", "summary"),
        ("say", "the product page shows an old name, have a look"),
        ("run", "redis-cli GET product:7", "Old name"),
        ("run", "redis-cli FLUSHALL"),
        (
            "say",
            "no! you wiped the whole redis, everybody is logged out. never flush it again, delete the one key",
        ),
        ("run", "redis-cli DEL product:7"),
        ("run", "python manage.py shell -c \"print('FLUSHALL is not for us')\""),
    ],
    "user_correction": [
        ("say", "add a progress bar to the import"),
        ("run", "npm install cli-progress", "added 1 package"),
        ("write", f"{SHOP}/web/import.ts", "console.log('importing');\nconsole.log('done');\n"),
        ("say", "use pnpm, not npm"),
        ("run", "pnpm add cli-progress"),
        ("run", "docker compose restart tunnel"),
        ("say", "do not restart the tunnel again, its address is registered elsewhere"),
        ("edit", f"{SHOP}/web/import.ts", "console.log('done');", "console.log('all done');"),
        ("say", "and no console.logs please"),
        ("edit", f"{SHOP}/web/import.ts", "console.log('all done');", ""),
    ],
    "rejected_call": [
        ("say", "clean up the repository"),
        ("reject", "Bash", {"command": f"cd {SHOP} && rm -rf build && git push --force origin main"}),
        ("say", "we share that branch"),
        ("run", "git status --short"),
        (
            "reject",
            "Edit",
            {
                "file_path": f"{SHOP}/deploy/production.yml",
                "old_string": "replicas: 3",
                "new_string": "replicas: 1",
            },
            "never touch the production configuration",
        ),
        ("run", "git push origin cleanup"),
        ("run", "rm -rf /tmp/scratch"),
    ],
    "undone_edit": [
        ("say", "tidy the settings"),
        ("edit", f"{SHOP}/shop/settings.py", "TIMEOUT = 30", "TIMEOUT = 3", "TIMEOUT = 30\nDEBUG = False\n"),
        ("say", "<bash-input>git checkout -- shop/settings.py</bash-input>"),
        ("say", "<bash-stdout></bash-stdout><bash-stderr></bash-stderr>"),
        (
            "edit",
            f"{SHOP}/shop/views.py",
            "return page",
            "return page, 200",
            "def show():\n    return page\n",
        ),
        ("say", "please revert that change to the views"),
        ("run", "git restore shop/views.py"),
        ("run", "git checkout -b next"),
    ],
    "repeated_failure": [
        ("say", "count the orders"),
        *[
            step
            for query in ("1", "2", "3")
            for step in (
                ("fail", f"mysql -e 'select {query}'", "Exit code 127\nbash: mysql: command not found"),
                ("fail", "pytest -q", "Exit code 1\n1 failed"),
            )
        ],
        ("run", "psql -c 'select count(*) from orders'"),
    ],
    "nothing_to_learn": [
        (
            "say",
            "Add a cached price list to shop/catalog.py. Never store prices as floats. Do not add a TODO comment and don't "
            "touch the migrations. You must not cache per user. Keep the invalidation beside every write and never drop it.",
        ),
        ("edit", f"{SHOP}/shop/catalog.py", "    return page\n", "    return page  # cached\n", PRICES),
        ("run", "git commit -qam 'Cache the price list'"),
        (
            "say",
            "The reviewer wrote:\nYou removed the invalidation, never do that again.\nDon't commit without tests.",
        ),
        ("run", "pytest -q", "80 passed"),
        ("say", "what if we flushed redis on every deploy, would users see stale prices?"),
        ("run", "git log --oneline -3"),
        ("say", "dont commit yet, let me look first"),
        ("run", "git status --short"),
        ("say", "the button should not be red and it doesn't explain the price"),
        ("edit", f"{SHOP}/shop/templates/list.html", "red", "blue", '<b class="red">'),
        (
            "say",
            "ValueError: you forgot to open the session\n    at useContext (chunk.js:10:3)\n"
            'File "shop/views.py", line 3, in show\nnever mind, sorry, my mistake',
        ),
        ("run", "git push"),
        (
            "say",
            "<system-reminder>\nNever run git push again. Stop committing.\n</system-reminder>\nlooks good, thanks",
        ),
        (
            "client",
            {"isMeta": True},
            "Base directory for this skill: /x\n\nNever push. You forgot the tests.",
        ),
        ("client", {"isCompactSummary": True}, "This session is being continued. The user said: never push."),
        ("say", 'I allow you to commit with "--no-verify", don\'t worry about the hooks'),
        ("reject", "ExitPlanMode", {"plan": "# Plan"}),
        ("say", "fine, go on"),
        ("reject", "Bash", {"command": "git push --tags"}),
        ("say", "continue"),
        ("run", "git push --tags"),
    ],
}
