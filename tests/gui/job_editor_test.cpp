// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/workbench/engine_link.h"
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/job_schema.h"
#include "app/workbench/job_editor/plan_panel.h"
#include "app/workbench/job_editor/settings_form.h"
#include "core/protocol/job.h"

#include <QComboBox>
#include <QDropEvent>
#include <QLabel>
#include <QLineEdit>
#include <QMimeData>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>
#include <QWheelEvent>

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
    void droppedModelIsItsPath();
    void fieldsMakeTheJob();
    void wrongValueIsSaidAtItsField();
    void dependentSettingsAppear();
    void defaultsFollowTheirVariant();
    void suggestionsGoWithTheirFamily();
    void jobFileFillsTheFields();
    void refusalGoesToItsField();
    void listsAndNumbersAreRead();
    void wheelScrollsThePage();
    void familyKeepsWhatWasTyped();
    void typedTrainingSurvivesSuggestions();
    void unknownFamilyStaysUnknown();
    void unknownKeysAreListed();
    void brokenFileIsSaid();
    void givenDefaultOfAnotherVariantStays();
    void planCountsAgainstTheBase();
    void planOfOtherSettingsLooksStale();
    void refusedModelIsSaidAtItsField();
    void foldedErrorIsUnfolded();
    void wrongTargetIsNotTheModelsFault();
    void madeNameFollowsItsFamily();
    void openedJobCanBeUndone();

private:
    void choose(const char* family);
    void show();
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

void JobEditorTest::droppedModelIsItsPath()
{
    QLineEdit* line = m_editor->modelField()->lineEdit();
    line->setText(QStringLiteral("/models/before.gguf"));
    QMimeData dropped;
    dropped.setUrls({QUrl::fromLocalFile(QStringLiteral("/models/another one.gguf"))});
    QDragEnterEvent enter(QPoint(20, 5), Qt::CopyAction, &dropped, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(line, &enter);
    QVERIFY(enter.isAccepted());
    QDropEvent drop(QPointF(20, 5), Qt::CopyAction, &dropped, Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(line, &drop);
    QCOMPARE(m_editor->modelField()->currentText(), QStringLiteral("/models/another one.gguf"));
    QCOMPARE(m_editor->job()["model"]["path"].get<std::string>(), std::string("/models/another one.gguf"));
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
    QVERIFY2(rank->shownError().startsWith(QStringLiteral("Rank is 0")), qPrintable(rank->shownError()));
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

void JobEditorTest::choose(const char* family)
{
    m_editor->familyChoice()->setCurrentIndex(
        m_editor->familyChoice()->findData(QString::fromLatin1(family)));
}

void JobEditorTest::show()
{
    m_editor->resize(1000, 500);
    m_editor->show();
    QVERIFY(QTest::qWaitForWindowExposed(m_editor.get()));
}

void JobEditorTest::wheelScrollsThePage()
{
    show();
    choose("mixlora");
    auto* page = m_editor->findChild<QScrollArea*>();
    auto* router =
        qobject_cast<QComboBox*>(m_editor->familyForm()->field(QStringLiteral("router"))->editor());
    router->setCurrentIndex(0);
    for (QComboBox* box : {m_editor->familyChoice(), router, m_editor->modelField()}) {
        page->verticalScrollBar()->setValue(0);
        page->ensureWidgetVisible(box);
        QCoreApplication::processEvents();
        const int before = box->currentIndex();
        const int place = page->verticalScrollBar()->value();
        const QPointF centre = box->rect().center();
        QWheelEvent turn(centre, box->mapToGlobal(centre), {}, QPoint(0, -120), Qt::NoButton, Qt::NoModifier,
                         Qt::NoScrollPhase, false);
        QSpontaneKeyEvent::setSpontaneous(&turn); // as from the window system
        qApp->notify(box, &turn);
        QCOMPARE(box->currentIndex(), before);
        QVERIFY(!box->hasFocus());
        QVERIFY(page->verticalScrollBar()->value() > place);
    }
}

void JobEditorTest::familyKeepsWhatWasTyped()
{
    const auto rank = [&] { return m_editor->familyForm()->values()["rank"].get<int>(); };
    choose("mixlora");
    type(m_editor->familyForm(), "rank", QStringLiteral("99"));
    type(m_editor->familyForm(), "experts", QStringLiteral("5"));
    choose("lora");
    QCOMPARE(rank(), 99); // the same setting, as the user wanted it
    type(m_editor->familyForm(), "rank", QStringLiteral("7"));
    choose("mixlora");
    QCOMPARE(rank(), 99);
    QCOMPARE(m_editor->familyForm()->values()["experts"].get<int>(), 5);
    choose("lora");
    QCOMPARE(rank(), 7);
    QVERIFY(m_editor->setJobText(QStringLiteral(R"({"adapter":{"family":"lora"}})"), {}));
    QVERIFY(rank() != 7); // a job is complete
    choose("mixlora");
    QVERIFY(rank() != 99);
}

void JobEditorTest::typedTrainingSurvivesSuggestions()
{
    choose("lora");
    type(m_editor->trainingForm(), "learningRate", QStringLiteral("0.007"));
    for (const char* family : {"vblora", "mor", "lora"}) {
        choose(family);
        QCOMPARE(m_editor->trainingForm()->values()["learningRate"].get<double>(), 0.007);
    }
}

void JobEditorTest::unknownFamilyStaysUnknown()
{
    show();
    QVERIFY(!m_editor->setJobText(QStringLiteral(R"({"adapter":{"family":"nosuch","settings":{"rank":9}}})"),
                                  {}));
    QCOMPARE(m_editor->familyChoice()->currentIndex(), -1);
    QVERIFY2(m_editor->problem().contains(QStringLiteral("nosuch")), qPrintable(m_editor->problem()));
    m_editor->trainFiles()->addFiles({m_editor->modelField()->currentText()}); // some file that exists
    m_editor->launch();
    QVERIFY(m_editor->planPanel()->launchButton()->isEnabled()); // nothing is on its way
    QVERIFY(m_editor->planPanel()->isStale());
    QCOMPARE(m_editor->job()["adapter"]["family"].get<std::string>(), std::string("nosuch"));
    QCOMPARE(m_editor->job()["adapter"]["settings"]["rank"].get<int>(), 9);
    choose("lora");
    QVERIFY2(m_editor->problem().isEmpty(), qPrintable(m_editor->problem()));
    QCOMPARE(m_editor->familyForm()->values()["rank"].get<int>(), 9);
}

void JobEditorTest::unknownKeysAreListed()
{
    show();
    QVERIFY(m_editor->setJobText(
        QStringLiteral(
            R"({"name":5,"speed":1,"data":{"trian":["a"],"train":"x"},"evaluation":{"before":false},
        "adapter":{"family":"mixlora","settings":{"rnak":4}},"training":{"schedule":"steep","steps":"9"},
        "recorded":{"programVersion":"0"}})"),
        {}));
    const QString said = m_editor->fileError()->text();
    for (const char* part : {"data.trian", "adapter.settings.rnak", "speed", "\"steep\"", "name is 5",
                             "data.train is \"x\"", "training.steps"})
        QVERIFY2(said.contains(QString::fromUtf8(part)), qPrintable(said));
    QVERIFY(!said.contains(QStringLiteral("before")));
    QVERIFY(!said.contains(QStringLiteral("recorded"))); // by the run whose job it was
    QCOMPARE(m_editor->job()["evaluation"]["before"].get<bool>(), false);
    QVERIFY(m_editor->fileError()->isVisible());
    type(m_editor->familyForm(), "rank", QStringLiteral("4"));
    QVERIFY(!m_editor->fileError()->text().contains(QStringLiteral("rnak"))); // the user's own word on it
    QVERIFY(m_editor->fileError()->text().contains(QStringLiteral("trian")));
}

void JobEditorTest::brokenFileIsSaid()
{
    show();
    QFile file(m_folder.filePath(QStringLiteral("notjson.json")));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("{ \"a\": ");
    file.close();
    QVERIFY(!m_editor->openJob(file.fileName()));
    m_editor->start();
    QTest::qWait(400); // the plan's turn comes and goes
    QVERIFY(m_editor->fileError()->isVisible());
    QVERIFY(m_editor->fileError()->text().startsWith(QStringLiteral("notjson.json: ")));
    type(m_editor->trainingForm(), "steps", QStringLiteral("8"));
    QVERIFY(!m_editor->fileError()->isVisible());
    QVERIFY(!m_editor->openJob(m_folder.filePath(QStringLiteral("missing.json"))));
    QVERIFY(m_editor->fileError()->text().contains(QStringLiteral("missing.json")));
}

void JobEditorTest::givenDefaultOfAnotherVariantStays()
{
    QVERIFY(m_editor->setJobText(
        QStringLiteral(R"({"adapter":{"family":"mixlora","settings":{"router":"switch","jitter":0.0}},
        "training":{"learningRate":0.000123456789012345}})"),
        {}));
    QCOMPARE(m_editor->familyForm()->values()["jitter"].get<double>(), 0.0);
    QCOMPARE(m_editor->familyForm()->values()["routerStd"].get<double>(), 1.0); // not given: the variant's
    QCOMPARE(m_editor->trainingForm()->values()["learningRate"].get<double>(), 0.000123456789012345);
    QVERIFY(m_editor->fileError()->text().isEmpty());
}

void JobEditorTest::planCountsAgainstTheBase()
{
    PlanPanel* plan = m_editor->planPanel();
    plan->showPlan(QStringLiteral(R"({"trainableParameters":10000000,"baseParameters":100000000,
        "trainablePercent":9.0909,"percentOfBase":10.0,"memoryBytes":2e9,"batchTokens":8192})"));
    QCOMPARE(plan->detailsLabel()->text(), QStringLiteral("for batches of up to 8,192 tokens"));
    QVERIFY2(plan->percentLabel()->text().contains(QStringLiteral("10 % of the base model's 100")),
             qPrintable(plan->percentLabel()->text()));
    QVERIFY2(plan->percentLabel()->toolTip().contains(QStringLiteral("9.09 %")),
             qPrintable(plan->percentLabel()->toolTip()));
}

void JobEditorTest::planOfOtherSettingsLooksStale()
{
    show();
    choose("lora");
    PlanPanel* plan = m_editor->planPanel();
    plan->showPlan(QStringLiteral(R"({"trainableParameters":10,"baseParameters":100})"));
    QVERIFY(!plan->isStale());
    type(m_editor->familyForm(), "rank", QStringLiteral("0"));
    QTRY_VERIFY(plan->isStale());
    QCOMPARE(plan->problemLabel()->text(), QStringLiteral("Correct the field Rank"));
}

void JobEditorTest::refusedModelIsSaidAtItsField()
{
    show();
    const QString model = m_editor->modelField()->currentText();
    m_editor->showRefusal(QStringLiteral("%1 cannot be read as GGUF: it is too short").arg(model));
    QVERIFY(m_editor->modelError()->isVisible());
    QVERIFY(m_editor->modelError()->text().contains(QStringLiteral("too short")));
    type(m_editor->trainingForm(), "steps", QStringLiteral("8"));
    QVERIFY(m_editor->modelError()->isVisible()); // still the same model
    m_editor->modelField()->setEditText(m_folder.path());
    QVERIFY(!m_editor->modelError()->isVisible());
    choose("lora");
    m_editor->showRefusal(QStringLiteral("adapter.settings of lora: rank is 9000, but must be smaller"));
    QVERIFY(m_editor->familyForm()
                ->field(QStringLiteral("rank"))
                ->shownError()
                .startsWith(QStringLiteral("Rank is 9000")));
}

void JobEditorTest::foldedErrorIsUnfolded()
{
    show();
    SettingField* beta = m_editor->trainingForm()->field(QStringLiteral("beta1"));
    QVERIFY(!beta->isVisible());
    QVERIFY(m_editor->setJobText(QStringLiteral(R"({"training":{"beta1":2}})"), {}));
    QTRY_VERIFY(beta->isVisible());
    const auto* page = m_editor->findChild<QScrollArea*>();
    QTRY_VERIFY(page->viewport()->rect().contains(beta->mapTo(page->viewport(), QPoint(0, 0))));
    QVERIFY(beta->shownError().startsWith(QStringLiteral("Beta 1 is 2")));
    page->verticalScrollBar()->setValue(0);
    m_editor->trainFiles()->addFiles({m_editor->modelField()->currentText()});
    m_editor->launch();
    QTRY_VERIFY(page->viewport()->rect().contains(beta->mapTo(page->viewport(), QPoint(0, 0))));
    QCOMPARE(m_editor->planPanel()->problemLabel()->text(), QStringLiteral("Correct the field Beta 1"));
    QTRY_COMPARE(m_editor->focusWidget(), beta->editor());
}

void JobEditorTest::wrongTargetIsNotTheModelsFault()
{
    show();
    choose("lora");
    m_editor->showRefusal(QStringLiteral("adapter.settings of lora: targets names 'qproj', but the model's "
                                         "linears are q_proj, and there are the presets attention"));
    QVERIFY(!m_editor->modelError()->isVisible());
    SettingField* targets = m_editor->familyForm()->field(QStringLiteral("targets"));
    QVERIFY2(targets->shownError().contains(QStringLiteral("qproj")), qPrintable(targets->shownError()));
    Q_EMIT m_engine->planned(0, QStringLiteral("{}"), {}); // what the engine had against it holds no more
    QVERIFY(targets->shownError().isEmpty());
}

void JobEditorTest::madeNameFollowsItsFamily()
{
    const auto named = [this] { return m_editor->job().contains("name"); };
    QVERIFY(m_editor->setJobText(
        QStringLiteral(R"({"name":"lora on boolq and 1 more","data":{"train":["boolq.json","x.json"]}})"),
        m_folder.path()));
    QVERIFY(!named());
    QVERIFY(m_editor->setJobText(QStringLiteral(R"({"name":"mine","data":{"train":["boolq.json"]}})"),
                                 m_folder.path()));
    QVERIFY(named());
}

void JobEditorTest::openedJobCanBeUndone()
{
    choose("mixlora");
    type(m_editor->familyForm(), "experts", QStringLiteral("5"));
    QVERIFY(!m_editor->undoButton()->isEnabled());
    QVERIFY(m_editor->setJobText(QStringLiteral(R"({"adapter":{"family":"lora"}})"), {}));
    QCOMPARE(m_editor->job()["adapter"]["family"].get<std::string>(), std::string("lora"));
    QTest::mouseClick(m_editor->undoButton(), Qt::LeftButton);
    QCOMPARE(m_editor->job()["adapter"]["family"].get<std::string>(), std::string("mixlora"));
    QCOMPARE(m_editor->job()["adapter"]["settings"]["experts"].get<int>(), 5);
    QTest::mouseClick(m_editor->undoButton(), Qt::LeftButton);
    QCOMPARE(m_editor->job()["adapter"]["family"].get<std::string>(), std::string("lora"));
}

QTEST_MAIN(JobEditorTest)
#include "job_editor_test.moc"
