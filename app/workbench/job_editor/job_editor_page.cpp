// SPDX-License-Identifier: GPL-3.0-or-later
// The widgets of the New run page.
#include "app/workbench/job_editor/file_drop.h"
#include "app/workbench/job_editor/file_list_field.h"
#include "app/workbench/job_editor/job_editor.h"
#include "app/workbench/job_editor/job_schema.h"
#include "app/workbench/job_editor/settings_form.h"
#include "app/workbench/job_editor/wheel_guard.h"
#include "app/workbench/style.h"
#include "core/base/paths.h"

#include <QComboBox>
#include <QFileDialog>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QToolButton>

namespace rankscope::workbench
{

using base::Json;

namespace
{

constexpr int formWidth = 720;

QLabel* caption(const QString& text, QWidget* field, QWidget* parent)
{
    auto* label = new QLabel(text, parent);
    label->setFixedWidth(SettingsForm::captionWidth);
    label->setBuddy(field);
    return label;
}

QLabel* errorLine(QWidget* parent)
{
    auto* label = new QLabel(parent);
    label->setProperty("role", "error");
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    return label;
}

} // namespace

QVBoxLayout* JobEditor::addSection(QVBoxLayout* column, const QString& title)
{
    auto* heading = sectionHeading(title, this);
    heading->setContentsMargins(0, 12, 0, 0);
    column->addWidget(heading);
    auto* frame = new QFrame(this);
    frame->setAutoFillBackground(true);
    frame->setBackgroundRole(QPalette::Base);
    auto* inside = new QVBoxLayout(frame);
    inside->setContentsMargins(16, 12, 16, 12);
    inside->setSpacing(8);
    column->addWidget(frame);
    return inside;
}

QWidget* JobEditor::makeForm()
{
    auto* page = new QWidget(this);
    auto* outer = new QHBoxLayout(page);
    outer->setContentsMargins(16, 8, 16, 16);
    auto* middle = new QWidget(page);
    middle->setMaximumWidth(formWidth);
    auto* column = new QVBoxLayout(middle);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(6);
    outer->addWidget(middle, 1);

    auto* head = new QHBoxLayout;
    head->setSpacing(8);
    auto* title = new QLabel(tr("New run"), middle);
    QFont large = font();
    large.setPointSizeF(large.pointSizeF() * 1.5);
    large.setBold(true);
    title->setFont(large);
    head->addWidget(title);
    head->addStretch(1);
    const auto button = [&](const QString& text, const QString& tip) {
        auto* made = new QToolButton(middle);
        made->setText(text);
        made->setToolTip(tip);
        head->addWidget(made);
        return made;
    };
    auto* presets = button(tr("Presets"), tr("Training settings for a purpose"));
    auto* menu = new QMenu(presets);
    menu->setToolTipsVisible(true);
    for (const JobPreset& preset : jobPresets()) {
        QAction* item = menu->addAction(preset.title, this, [this, preset] {
            keepForUndo();
            Json training = m_trainingForm->values();
            training.update(preset.training);
            m_trainingForm->setValues(training);
            Json analysis = m_analysisForm->values();
            analysis.update(preset.analysis);
            m_analysisForm->setValues(analysis);
        });
        item->setToolTip(preset.toolTip);
    }
    presets->setMenu(menu);
    presets->setPopupMode(QToolButton::InstantPopup);
    m_undo = button(tr("Undo"), tr("Bring back what stood in the fields before the job file, the run or the "
                                   "preset came over them; once more takes it again"));
    m_undo->setEnabled(false);
    connect(m_undo, &QToolButton::clicked, this, &JobEditor::undo);
    auto* load = button(tr("Open job…"), tr("Fill the fields from a job file"));
    auto* save = button(tr("Save job…"), tr("Write the job as a file for rankscope-engine run"));
    auto* close = button(tr("Back to views"), tr("Leave this page; its fields stay as they are (Esc)"));
    connect(load, &QToolButton::clicked, this, [this] {
        const QString file = QFileDialog::getOpenFileName(this, tr("Open job"), {}, tr("Job files (*.json)"));
        if (!file.isEmpty())
            openJob(file);
    });
    connect(save, &QToolButton::clicked, this, &JobEditor::saveJob);
    connect(close, &QToolButton::clicked, this, &JobEditor::closeRequested);
    column->addLayout(head);
    m_fileError = errorLine(middle);
    m_fileError->setAccessibleName(tr("What of the job file could not be taken"));
    m_fileError->hide();
    column->addWidget(m_fileError);

    makeModelSection(addSection(column, tr("Model")));
    makeDataSection(addSection(column, tr("Data")));
    makeFamilySection(addSection(column, tr("Adapter")));

    const auto addForm = [this](QVBoxLayout* section, const QString& part,
                                const std::vector<protocol::SettingSchema>& schemas) {
        auto* form = new SettingsForm(this);
        form->setSchemas(schemas);
        section->addWidget(form);
        connect(form, &SettingsForm::edited, this, [this, part] { changed(part); });
        return form;
    };
    m_trainingForm = addForm(addSection(column, tr("Training")), parts::training, trainingSettings());
    QVBoxLayout* looking = addSection(column, tr("Evaluation and analysis"));
    m_evaluationForm = addForm(looking, parts::evaluation, evaluationSettings());
    m_analysisForm = addForm(looking, parts::analysis, analysisSettings());
    QVBoxLayout* device = addSection(column, tr("Device"));
    m_device = new QComboBox(this);
    m_device->setEditable(true);
    m_device->addItems({QStringLiteral("auto"), QStringLiteral("cpu"), QStringLiteral("cuda")});
    m_device->setToolTip(tr("auto takes a GPU where there is one (default); cuda:1 names a second GPU"));
    m_device->setAccessibleName(tr("Device"));
    m_device->setMaximumWidth(160);
    guardWheel(m_device);
    auto* deviceRow = new QHBoxLayout;
    deviceRow->setSpacing(8);
    deviceRow->addWidget(caption(tr("Train on"), m_device, this));
    deviceRow->addWidget(m_device);
    deviceRow->addStretch(1);
    device->addLayout(deviceRow);
    m_deviceError = errorLine(this);
    m_deviceError->hide();
    device->addWidget(m_deviceError);
    connect(m_device, &QComboBox::currentTextChanged, this, [this] { changed(parts::device); });
    column->addStretch(1);
    return page;
}

void JobEditor::makeModelSection(QVBoxLayout* column)
{
    auto* form = new QFormLayout;
    m_modelForm = form;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_name = new QLineEdit(this);
    m_name->setPlaceholderText(tr("made from family and data"));
    m_name->setToolTip(tr("Name in the list of runs and of the run directory"));
    m_name->setAccessibleName(tr("Name"));
    m_model = new QComboBox(this);
    m_model->setEditable(true);
    m_model->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    m_model->setToolTip(
        tr("A GGUF file, or a folder with config.json and safetensors: typed, chosen or dropped here"));
    m_model->setAccessibleName(tr("Base model"));
    if (const auto standard = base::defaultModel(); !standard.empty())
        m_model->addItem(QString::fromStdString(standard.string()));
    auto* browse = new QToolButton(this);
    browse->setText(tr("Browse…"));
    auto* kinds = new QMenu(browse);
    kinds->addAction(tr("GGUF file…"), this, [this] {
        const QString file =
            QFileDialog::getOpenFileName(this, tr("Base model"), {}, tr("GGUF models (*.gguf)"));
        if (!file.isEmpty())
            m_model->setEditText(file);
    });
    kinds->addAction(tr("Hugging Face folder…"), this, [this] {
        const QString folder = QFileDialog::getExistingDirectory(this, tr("Base model"));
        if (!folder.isEmpty())
            m_model->setEditText(folder);
    });
    browse->setMenu(kinds);
    browse->setPopupMode(QToolButton::InstantPopup);
    browse->setToolTip(tr("Choose a base model from disk"));
    m_dtype = new QComboBox(this);
    m_dtype->addItems({QStringLiteral("auto"), QStringLiteral("float32"), QStringLiteral("bfloat16")});
    m_dtype->setToolTip(tr("How the frozen base model is stored and computed (default: auto)"));
    m_dtype->setAccessibleName(tr("Data type"));
    guardWheel(m_model);
    takeDroppedFile(m_model->lineEdit());
    guardWheel(m_dtype);
    m_modelError = errorLine(this);
    auto* modelRow = new QHBoxLayout;
    modelRow->setSpacing(8);
    modelRow->addWidget(m_model, 1);
    modelRow->addWidget(browse);
    modelRow->addWidget(m_dtype);
    form->addRow(caption(tr("Name"), m_name, this), m_name);
    form->addRow(caption(tr("Base model"), m_model, this), modelRow);
    form->addRow(caption({}, nullptr, this), m_modelError);
    column->addLayout(form);
    connect(m_name, &QLineEdit::textEdited, this, [this] { changed(parts::name); });
    connect(m_model, &QComboBox::editTextChanged, this, [this] { changed(parts::model); });
    connect(m_dtype, &QComboBox::currentIndexChanged, this, [this] { changed(parts::model); });
}

void JobEditor::makeDataSection(QVBoxLayout* column)
{
    auto* form = new QFormLayout;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    m_train = new FileListField(
        tr("Training files"),
        tr("Rows with instruction, input and output, or with messages. Each file is a task."), this);
    m_test =
        new FileListField(tr("Test files"), tr("Evaluated before and after the training; by task"), this);
    form->addRow(caption(tr("Training"), m_train, this), m_train);
    form->addRow(caption(tr("Test"), m_test, this), m_test);
    column->addLayout(form);
    m_dataForm = new SettingsForm(this);
    m_dataForm->setSchemas(dataSettings());
    column->addWidget(m_dataForm);
    connect(m_train, &FileListField::edited, this, [this] { changed(parts::data); });
    connect(m_test, &FileListField::edited, this, [this] { changed(parts::data); });
    connect(m_dataForm, &SettingsForm::edited, this, [this] { changed(parts::data); });
}

void JobEditor::makeFamilySection(QVBoxLayout* column)
{
    m_family = new QComboBox(this);
    m_family->setAccessibleName(tr("Family"));
    m_family->setToolTip(tr("How the adapter changes the weights; each family is a plugin"));
    for (const protocol::FamilyManifest& family : m_families)
        m_family->addItem(QString::fromStdString(family.title), QString::fromStdString(family.name));
    const int mixlora = m_family->findData(QStringLiteral("mixlora"));
    m_family->setCurrentIndex(mixlora >= 0 ? mixlora : 0);
    guardWheel(m_family);
    m_familyError = errorLine(this);
    m_familyText = new QLabel(this);
    m_familyText->setProperty("role", "muted");
    m_familyText->setWordWrap(true);
    m_familyForm = new SettingsForm(this);
    auto* form = new QFormLayout;
    form->setSpacing(8);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    form->addRow(caption(tr("Family"), m_family, this), m_family);
    form->addRow(caption({}, nullptr, this), m_familyError);
    form->addRow(caption({}, nullptr, this), m_familyText);
    form->setRowVisible(m_familyError, false);
    m_familyRows = form;
    column->addLayout(form);
    column->addWidget(m_familyForm);
    connect(m_family, &QComboBox::currentIndexChanged, this, &JobEditor::chooseFamily);
    connect(m_familyForm, &SettingsForm::edited, this, [this] { changed(parts::adapter); });
}

} // namespace rankscope::workbench
