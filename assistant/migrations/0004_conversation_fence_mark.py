from django.db import migrations, models

import assistant.fence


def draw(apps, schema_editor):
    """A mark of its own for each conversation that there is."""
    Conversation = apps.get_model("assistant", "Conversation")
    conversations = list(Conversation.objects.only("pk"))
    for conversation in conversations:
        conversation.fence_mark = assistant.fence.new_mark()
    Conversation.objects.bulk_update(conversations, ["fence_mark"], batch_size=500)


class Migration(migrations.Migration):

    dependencies = [
        ('assistant', '0003_place_events'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='fence_mark',
            field=models.CharField(default=assistant.fence.new_mark, editable=False, max_length=20),
        ),
        migrations.RunPython(draw, migrations.RunPython.noop),
    ]
