// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/engine_link.h"
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/job_schema.h"
#include "app/workbench/job_editor/settings_form.h"
#include "core/protocol/job.h"

#include <QComboBox>
#include <QLineEdit>
#include <QTemporaryDir>
#include <QTest>

using namespace rankscope;
using namespace rankscope::workbench;
using rankscope::base::Json;

class JobEditorTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void familiesComeFromManifests();
    void defaultsMakeAValidJob();
    void fieldsMakeTheJob();
    void wrongValueIsSaidAtItsField();
    void dependentSettingsAppear();
    void defaultsFollowTheirVariant();
    void suggestionsGoWithTheirFamily();
    void jobFileFillsTheFields();
    void refusalGoesToItsField();
    void listsAndNumbersAreRead();

private:
    static void type(SettingsForm* form, const char* name, const QString& text);

    QTemporaryDir m_folder;
    std::unique_ptr<EngineLink> m_engine;
    std::unique_ptr<JobEditor> m_editor;
};

void JobEditorTest::init()
{
    m_engine = std::make_unique<EngineLink>(m_folder.filePath(QStringLiteral("none.sock")), m_folder.path());
    m_editor = std::make_unique<JobEditor>(m_engine.get());
    const QString model = m_folder.filePath(QStringLiteral("model.gguf"));
    QFile file(model);
    QVERIFY(file.open(QIODevice::WriteOnly));
    m_editor->modelField()->setEditText(model);
}

void JobEditorTest::cleanup()
{
    m_editor.reset();
    m_engine.reset();
}

void JobEditorTest::type(SettingsForm* form, const char* name, const QString& text)
{
    auto* line = qobject_cast<QLineEdit*>(form->field(QString::fromLatin1(name))->editor());
    QVERIFY(line != nullptr);
    line->clear();
    QTest::keyClicks(line, text);
}

void JobEditorTest::familiesComeFromManifests()
{
    for (const char* family : {"lora", "mixlora", "opera", "sharedlora"})
        QVERIFY2(m_editor->familyChoice()->findData(QString::fromLatin1(family)) >= 0, family);
    m_editor->familyChoice()->setCurrentIndex(m_editor->familyChoice()->findData(QStringLiteral("mixlora")));
    QVERIFY(m_editor->familyForm()->field(QStringLiteral("experts")) != nullptr);
    m_editor->familyChoice()->setCurrentIndex(m_editor->familyChoice()->findData(QStringLiteral("lora")));
    QVERIFY(m_editor->familyForm()->field(QStringLiteral("experts")) == nullptr);
    QVERIFY(m_editor->familyForm()->field(QStringLiteral("rank")) != nullptr);
}

void JobEditorTest::defaultsMakeAValidJob()
{
    for (int i = 0; i < m_editor->familyChoice()->count(); ++i) {
        m_editor->familyChoice()->setCurrentIndex(i);
        QVERIFY2(m_editor->problem().isEmpty(),
                 qPrintable(m_editor->familyChoice()->currentText() + ": " + m_editor->problem()));
        const auto job = protocol::Job::fromJson(Json::parse(m_editor->job().dump()));
        QVERIFY2(job.has_value(), job ? "" : job.error().message.c_str());
        QCOMPARE(job->training.beta2, 0.999);
        QCOMPARE(job->analysis.every, std::int64_t(10));
    }
}

void JobEditorTest::fieldsMakeTheJob()
{
    m_editor->familyChoice()->setCurrentIndex(m_editor->familyChoice()->findData(QStringLiteral("mixlora")));
    type(m_editor->familyForm(), "rank", QStringLiteral("12"));
    type(m_editor->trainingForm(), "steps", QStringLiteral("37"));
    type(m_editor->trainingForm(), "learningRate", QStringLiteral("3e-4"));
    m_editor->trainFiles()->addFiles(
        {QStringLiteral("/data/a.jsonl"), QStringLiteral("/data/b.jsonl"), QStringLiteral("/data/a.jsonl")});
    m_editor->testFiles()->setFiles({QStringLiteral("/data/t.jsonl")});
    const auto job = protocol::Job::fromJson(Json::parse(m_editor->job().dump()));
    QVERIFY2(job.has_value(), job ? "" : job.error().message.c_str());
    QCOMPARE(job->adapter.family, std::string("mixlora"));
    QCOMPARE(job->adapter.settings["rank"].get<int>(), 12);
    QCOMPARE(job->training.steps, std::int64_t(37));
    QCOMPARE(job->training.learningRate, 3e-4);
    QCOMPARE(job->data.train, (std::vector<std::string>{"/data/a.jsonl", "/data/b.jsonl"}));
    QCOMPARE(job->data.test, std::vector<std::string>{"/data/t.jsonl"});
}

void JobEditorTest::wrongValueIsSaidAtItsField()
{
    m_editor->familyChoice()->setCurrentIndex(m_editor->familyChoice()->findData(QStringLiteral("mixlora")));
    SettingField* rank = m_editor->familyForm()->field(QStringLiteral("rank"));
    QVERIFY(rank->shownError().isEmpty());
    type(m_editor->familyForm(), "rank", QStringLiteral("0"));
    QVERIFY2(rank->shownError().contains(QStringLiteral("rank")), qPrintable(rank->shownError()));
    QVERIFY(!m_editor->problem().isEmpty());
    type(m_editor->familyForm(), "rank", QStringLiteral("many"));
    QVERIFY(!rank->shownError().isEmpty());
    type(m_editor->familyForm(), "rank", QStringLiteral("8"));
    QVERIFY(rank->shownError().isEmpty());
    QVERIFY(m_editor->problem().isEmpty());
    type(m_editor->trainingForm(), "steps", QStringLiteral("-3"));
    QVERIFY(!m_editor->trainingForm()->field(QStringLiteral("steps"))->shownError().isEmpty());
}

void JobEditorTest::dependentSettingsAppear()
{
    protocol::SettingSchema router;
    router.name = "router";
    router.type = protocol::SettingType::Text;
    router.choices = {"soft", "gumbel_top1"};
    router.defaultValue = "soft";
    protocol::SettingSchema tau;
    tau.name = "tau";
    tau.type = protocol::SettingType::Number;
    tau.defaultValue = 0.1;
    tau.showWhen = {{"router", {Json("gumbel_top1")}}};
    SettingsForm form;
    form.setSchemas({router, tau});
    QVERIFY(form.field(QStringLiteral("tau"))->isHidden());
    QVERIFY(!form.values().contains("tau"));
    qobject_cast<QComboBox*>(form.field(QStringLiteral("router"))->editor())
        ->setCurrentText(QStringLiteral("gumbel_top1"));
    QVERIFY(!form.field(QStringLiteral("tau"))->isHidden());
    QCOMPARE(form.values()["tau"].get<double>(), 0.1);
}

void JobEditorTest::defaultsFollowTheirVariant()
{
    const auto choose = [&](const char* router) {
        qobject_cast<QComboBox*>(m_editor->familyForm()->field(QStringLiteral("router"))->editor())
            ->setCurrentText(QString::fromLatin1(router));
    };
    const auto number = [&](const char* name) {
        return m_editor->familyForm()->values()[name].get<double>();
    };
    m_editor->familyChoice()->setCurrentIndex(m_editor->familyChoice()->findData(QStringLiteral("mixlora")));
    QCOMPARE(number("jitter"), 0.0);
    choose("switch");
    QCOMPARE(number("jitter"), 0.01);
    QCOMPARE(number("routerStd"), 1.0);
    QCOMPARE(number("zLossCoefficient"), 0.001);
    type(m_editor->familyForm(), "jitter", QStringLiteral("0.05"));
    choose("top-k");
    QCOMPARE(number("routerStd"), 0.02);
    QCOMPARE(number("jitter"), 0.05); // the user's own
}

void JobEditorTest::suggestionsGoWithTheirFamily()
{
    const auto choose = [&](const char* family) {
        m_editor->familyChoice()->setCurrentIndex(
            m_editor->familyChoice()->findData(QString::fromLatin1(family)));
    };
    const auto training = [&] { return m_editor->trainingForm()->values(); };
    choose("lora");
    const std::int64_t usual = training()["batchSize"].get<std::int64_t>();
    choose("mor");
    QCOMPARE(training()["batchSize"].get<std::int64_t>(), std::int64_t(8));
    choose("lora");
    QCOMPARE(training()["batchSize"].get<std::int64_t>(), usual);
    type(m_editor->trainingForm(), "batchSize", QStringLiteral("3"));
    choose("dora");
    QCOMPARE(training()["batchSize"].get<std::int64_t>(), std::int64_t(3));
    QVERIFY(m_editor->setJobText(QStringLiteral(R"({"adapter":{"family":"vblora"},"training":{"steps":7}})"),
                                 {}));
    QCOMPARE(training()["learningRate"].get<double>(), 1e-3);
    QCOMPARE(training()["steps"].get<std::int64_t>(), std::int64_t(7));
}

void JobEditorTest::jobFileFillsTheFields()
{
    QVERIFY(
        m_editor->setJobText(QStringLiteral(R"({"name":"n","model":{"path":"model.gguf","dtype":"bfloat16"},
        "data":{"train":["x/train.jsonl"],"maxLength":128},
        "adapter":{"family":"sharedlora","settings":{"rank":9}},
        "training":{"steps":5,"schedule":"linear"},"device":"cpu"})"),
                             m_folder.path()));
    const auto job = protocol::Job::fromJson(Json::parse(m_editor->job().dump()));
    QVERIFY2(job.has_value(), job ? "" : job.error().message.c_str());
    QCOMPARE(job->name, std::string("n"));
    QCOMPARE(QString::fromStdString(job->model.path), m_folder.filePath(QStringLiteral("model.gguf")));
    QCOMPARE(job->model.dtype, std::string("bfloat16"));
    QCOMPARE(QString::fromStdString(job->data.train[0]), m_folder.filePath(QStringLiteral("x/train.jsonl")));
    QCOMPARE(job->data.maxLength, std::int64_t(128));
    QCOMPARE(job->adapter.family, std::string("sharedlora"));
    QCOMPARE(job->adapter.settings["rank"].get<int>(), 9);
    QCOMPARE(job->training.steps, std::int64_t(5));
    QCOMPARE(job->training.schedule, std::string("linear"));
    QCOMPARE(job->device, std::string("cpu"));
    QVERIFY(!m_editor->setJobText(QStringLiteral("{ not json"), {}));
    QVERIFY(!m_editor->setJobText(QStringLiteral(R"({"adapter":{"family":"unknown"}})"), {}));
}

void JobEditorTest::refusalGoesToItsField()
{
    m_editor->showRefusal(QStringLiteral("training.batchSize is 9000, but there are only 10 rows"));
    QVERIFY(m_editor->trainingForm()
                ->field(QStringLiteral("batchSize"))
                ->shownError()
                .contains(QStringLiteral("10 rows")));
}

void JobEditorTest::listsAndNumbersAreRead()
{
    protocol::SettingSchema legs;
    legs.name = "legs";
    legs.type = protocol::SettingType::IntegerList;
    legs.minimum = 1;
    legs.defaultValue = Json::array({2, 8, 12});
    SettingsForm form;
    form.setSchemas({legs});
    QCOMPARE(form.values()["legs"].dump(), std::string("[2,8,12]"));
    type(&form, "legs", QStringLiteral("4, 0,2"));
    QVERIFY(!form.valid());
    type(&form, "legs", QStringLiteral("4, 6 ,2"));
    QVERIFY(form.valid());
    QCOMPARE(form.values()["legs"].dump(), std::string("[4,6,2]"));
}

QTEST_MAIN(JobEditorTest)
#include "job_editor_test.moc"
